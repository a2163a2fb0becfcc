//! The end of a runner whose time is over.

use super::*;

/// The effects of an abort, each done, until it is over.
fn abort(rules: DrainRules, told: Told) -> Vec<HostEffect> {
    let mut host = Host::draining(rules, LeaveReason::Spot);
    host.open.clear();
    let at = host.now + secs(1);
    host.event(Event::Ending { by: Ending::Interruption, at: Some(at) });
    host.now = at - std::time::Duration::from_millis(400);
    host.agent.handle_timeout(host.now);
    host.collect();
    let (mut done, mut asked) = (Vec::new(), BTreeSet::new());
    while let Some((id, effect)) = host.open.iter().copied().find(|(id, _)| asked.insert(*id)) {
        let result = match effect {
            HostEffect::FindRunner => runner(told),
            HostEffect::AwaitExit { .. } => HostResult::Exited(false),
            HostEffect::Cloud(_) | HostEffect::WriteJournal(_) | HostEffect::Platform { .. } => continue,
            HostEffect::Prepare { .. }
            | HostEffect::StartRunner { .. }
            | HostEffect::NoteTold(_)
            | HostEffect::SignalRunner(_)
            | HostEffect::QuiesceRunner
            | HostEffect::CountRequests
            | HostEffect::NoteJobs
            | HostEffect::EndJobs
            | HostEffect::KillRunner
            | HostEffect::Pause(_)
            | HostEffect::FindProgram
            | HostEffect::LookForRoom
            | HostEffect::MakeRoom
            | HostEffect::OpenPlatform
            | HostEffect::ForgetToken
            | HostEffect::Snapshot
            | HostEffect::ReleaseClients => DONE,
        };
        done.push(effect);
        host.open.retain(|(open, _)| *open != id);
        host.agent.resume(id, result, host.now);
        host.collect();
        if host.aborted() {
            break;
        }
    }
    done
}

#[test]
fn an_abort_signals_twice_only_where_the_first_means_finish_and_kills_in_the_end() {
    // One second of notice: aborted 0.4 s before the deadline, left 0.1 s before it.
    let ms = std::time::Duration::from_millis;
    let term = HostEffect::SignalRunner(Signal::Term);
    // The job ends before its reporter, who gets the last third of the time.
    let end = [
        HostEffect::AwaitExit { within: ms(200) },
        HostEffect::EndJobs,
        HostEffect::AwaitExit { within: ms(100) },
        HostEffect::KillRunner,
    ];
    let once = [&[HostEffect::FindRunner, HostEffect::NoteJobs, term][..], &end].concat();
    assert_eq!(abort(BY_SIGNAL, Told::No), once);
    assert_eq!(abort(BY_SAME_SIGNAL, Told::Yes), once);
    let told = [HostEffect::NoteTold(Told::Maybe), term, HostEffect::Pause(ms(200)), term];
    let twice = [&[HostEffect::FindRunner, HostEffect::NoteJobs][..], &told, &end].concat();
    assert_eq!(abort(BY_SAME_SIGNAL, Told::No), twice);
}
