//! Which fleet makes the situation of each answer.

use std::{fs, path::Path};

use lightsout_core::explain::Cause;

/// The test that makes its situation and has it named. A cause that is new has none, and does not compile.
fn made_by(cause: Cause) -> &'static str {
    match cause {
        Cause::TokenRefused
        | Cause::AtMost
        | Cause::Cooldown
        | Cause::Threshold
        | Cause::Raised
        | Cause::NothingWaits => "a_token_that_has_expired_a_cooldown_a_step_and_a_bound_of_the_pool_are_named",
        Cause::TickFailed
        | Cause::RightMissing
        | Cause::DryRun
        | Cause::WaitsForTurn
        | Cause::MaxStep
        | Cause::Lately
        | Cause::LaunchesSuspended => "a_dry_run_a_step_a_missing_right_a_turn_and_suspended_launches_are_told_apart",
        Cause::Standby => "a_scaler_that_stands_by_says_so_and_the_one_that_scales_does_not",
        Cause::FutileDemand | Cause::DeafMember | Cause::PartialReading | Cause::Enough | Cause::Held => {
            "jobs_that_nobody_takes_are_told_from_members_that_are_deaf_and_from_a_partial_reading"
        }
        Cause::TagMismatch | Cause::Busy | Cause::Running => "a_job_with_a_tag_that_the_pool_does_not_have_is_named",
        Cause::NoCapacity | Cause::Quota | Cause::Key | Cause::LaunchFails => {
            "no_capacity_a_quota_and_a_key_are_told_apart_and_from_the_maximum"
        }
        Cause::AtLeast
        | Cause::Spare
        | Cause::Surplus
        | Cause::Idle
        | Cause::AtFloor
        | Cause::Booting
        | Cause::Retiring
        | Cause::Refused
        | Cause::Unhealthy
        | Cause::Waiting
        | Cause::Ended => "what_keeps_an_instance_and_so_many_of_them_is_told_apart",
        Cause::UnknownProbe | Cause::Draining | Cause::HookFails => {
            "a_probe_that_cannot_be_read_and_a_hook_that_cannot_be_held_are_named"
        }
        Cause::NotRegistered | Cause::BootDeadline | Cause::Breaking => {
            "an_instance_that_never_registers_says_so_until_its_deadline_and_after"
        }
        Cause::IdleTimeout | Cause::Operator | Cause::Rebalance | Cause::Refresh | Cause::Spot => {
            "an_operator_a_notice_a_refresh_and_idleness_are_told_apart"
        }
        Cause::JobLimit | Cause::Age | Cause::Maintenance => "a_limit_of_jobs_maintenance_and_age_are_told_apart",
        Cause::ScaleIn | Cause::HookTimedOut => {
            "a_launch_hook_that_runs_out_is_named_and_a_termination_hook_that_cannot_be_extended_until_that_runs_out"
        }
        Cause::RunnerTooOld => "a_runner_that_its_platform_finds_too_old_is_named_while_it_is_tried_and_after",
        Cause::BeforeRegister | Cause::RunnerExits => {
            "a_program_for_each_boot_that_fails_is_told_from_a_runner_that_ends_again_and_again"
        }
        Cause::Full => "a_disk_that_a_job_fills_takes_no_more_jobs_and_is_cleaned_after_it",
        Cause::Broken => "an_instance_that_is_broken_says_what_with",
        Cause::Cut => "each_reason_that_comes_from_outside_stands_in_the_certificate",
    }
}

#[test]
fn each_answer_has_its_fleet() {
    let mut sources = String::new();
    read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fleet")), &mut sources);
    for cause in Cause::ALL {
        let name = made_by(*cause);
        let begin = format!("#[test]\nfn {name}() {{\n");
        let (_, rest) = sources.split_once(&begin).unwrap_or_else(|| panic!("{cause:?}: there is no test {name}"));
        let body = rest.split("\n}\n").next().expect("split gives one");
        // What must not be named stands in lists of its own.
        let named = body.split("&[").enumerate().map(|(n, part)| match part.split_once(']') {
            Some((_, after)) if n > 0 => after,
            Some(_) | None => part,
        });
        let word = format!("{:?}", cause.as_str());
        assert!(named.into_iter().any(|part| part.contains(&word)), "{name} does not ask for {word}");
    }
}

fn read(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            read(&path, sources);
        } else {
            *sources += &fs::read_to_string(&path).expect("a source");
        }
    }
}
