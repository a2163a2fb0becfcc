//! Rows about the CI platform.

use crate::duration::format_about;

use jiff::SignedDuration;

use super::{Fact, Judgement, Row, Scope, of};

/// How far clocks may be apart: a signed request is refused after five minutes, and a platform's token is soon "not yet valid".
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_secs(30);
/// From here on signatures are refused (AWS: five minutes; an App's token of a platform: one).
const REFUSED_SKEW: SignedDuration = SignedDuration::from_secs(60);

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "platform.reachable",
        scope: Scope::Instance,
        meaning: "the platform's address answers from here",
        remedy: "see that the subnet has a way out (NAT, or `https_proxy` in the agent's unit), that security groups and the platform's own \
                 rules allow it, and that its CA is known here",
        judge: |facts| match facts.platform.reachable.as_ref()? {
            Ok(seen) => Judgement::ok(seen.clone()),
            Err(why) => Judgement::wrong(why.clone()),
        },
    },
    Row {
        id: "platform.secret",
        scope: Scope::Group,
        meaning: "each secret that the settings name can be fetched",
        remedy: "put it there, or allow the role that is to read it (and `kms:Decrypt` where its key is your own)",
        judge: |facts| {
            let secrets = &facts.platform.secrets;
            let failed: Vec<_> = secrets.iter().filter_map(|(_, fetched)| fetched.as_ref().err()).collect();
            if !failed.is_empty() {
                let why = failed.iter().map(|refusal| refusal.why.as_str()).collect::<Vec<_>>().join("\n");
                let all_elsewhere = failed.iter().all(|refusal| refusal.transient);
                return if all_elsewhere { Judgement::unknown(why) } else { Judgement::wrong(why) };
            }
            let named: Vec<_> = secrets.iter().map(|(place, _)| place.as_str()).collect();
            (!named.is_empty()).then(|| Judgement::new(super::Verdict::Ok, format!("from {}", named.join(", "))))
        },
    },
    Row {
        id: "platform.token",
        scope: Scope::Group,
        meaning: "the platform takes the secret, and lets it do what the agent does, or on a workstation what the scaler does; asked without changing anything",
        remedy: "put a valid secret with the rights that are named where the settings point to",
        judge: |facts| match facts.platform.token.as_ref()? {
            Ok(seen) => Judgement::ok(seen.clone()),
            Err(refusal) if refusal.transient => Judgement::unknown(refusal.why.clone()),
            Err(refusal) => Judgement::wrong(refusal.why.clone()),
        },
    },
    Row {
        id: "clock.platform",
        scope: Scope::Instance,
        meaning: "this machine's clock is that of the platform: above 30 s it is a warning, above 60 s wrong",
        remedy: "see that the time is synchronised: timedatectl; systemctl status chronyd systemd-timesyncd",
        judge: |facts| clock(facts.platform.clock_ahead.as_ref()),
    },
];

/// Judges by how much this machine's clock is ahead of another.
pub(super) fn clock(ahead: Option<&Fact<SignedDuration>>) -> Option<Judgement> {
    of(ahead, |ahead| {
        let apart = ahead.abs();
        let how = if ahead.is_negative() { "behind" } else { "ahead" };
        let seen = format!("{} {how}", format_about(apart.unsigned_abs()));
        if apart > REFUSED_SKEW {
            Judgement::wrong(seen)
        } else if apart > TOLERATED_SKEW {
            Judgement::warning(seen)
        } else {
            Judgement::ok(seen)
        }
    })
}
