//! The end of a runner whose time is over.

use super::*;

/// The effects of an abort, each done, until it is over.
fn abort(rules: DrainRules, told: ToldToDrain) -> Vec<HostEffect> {
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
            | HostEffect::LookForCleaning
            | HostEffect::MakeRoom { .. }
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
    assert_eq!(abort(BY_SIGNAL, ToldToDrain::No), once);
    assert_eq!(abort(BY_SAME_SIGNAL, ToldToDrain::Yes), once);
    let told = [HostEffect::NoteTold(ToldToDrain::Maybe), term, HostEffect::Pause(ms(200)), term];
    let twice = [&[HostEffect::FindRunner, HostEffect::NoteJobs][..], &told, &end].concat();
    assert_eq!(abort(BY_SAME_SIGNAL, ToldToDrain::No), twice);
}

/// What calls the deadline off: the machine slept it over, in either way, or the cloud takes it back.
const CALLS_OFF: [fn(&mut Host); 3] = [
    |host| host.event(Event::Woke { unseen: secs(3_600) }),
    |host| {
        host.now = host.now + secs(3_600);
        host.event(Event::Woke { unseen: std::time::Duration::ZERO });
    },
    |host| host.event(Event::Lifted(Ending::Maintenance)),
];

#[test]
fn an_abort_whose_deadline_is_called_off_forces_nothing_more() {
    for (rules, call_off) in [BY_SIGNAL, BY_SAME_SIGNAL].into_iter().flat_map(|rules| CALLS_OFF.map(|how| (rules, how)))
    {
        for begun in 0.. {
            let mut host = Host::draining(rules, LeaveReason::Maintenance);
            host.open.clear();
            let notice = |host: &mut Host| {
                let at = host.now + secs(1_000);
                host.event(Event::Ending { by: Ending::Maintenance, at: Some(at) });
                host.now = host.agent.poll_timeout().expect("the abort").max(at - secs(20));
                host.agent.handle_timeout(host.now);
                host.collect();
            };
            // A job that heeds nothing: each effect is done, until so many are.
            let step = |host: &mut Host| {
                let about = |effect: &HostEffect| {
                    matches!(
                        effect,
                        HostEffect::FindRunner
                            | HostEffect::NoteJobs
                            | HostEffect::NoteTold(_)
                            | HostEffect::SignalRunner(_)
                            | HostEffect::Pause(_)
                            | HostEffect::AwaitExit { .. }
                            | HostEffect::EndJobs
                            | HostEffect::KillRunner
                    )
                };
                let at = host.open.iter().position(|(_, effect)| about(effect))?;
                let (id, effect) = host.open.remove(at);
                let result = if matches!(effect, HostEffect::FindRunner) {
                    runner(ToldToDrain::No)
                } else if matches!(effect, HostEffect::AwaitExit { .. }) {
                    HostResult::Exited(false)
                } else {
                    DONE
                };
                host.agent.resume(id, result, host.now);
                host.collect();
                Some(effect)
            };
            notice(&mut host);
            let mut done: Vec<_> = (0..begun).map_while(|_| step(&mut host)).collect();
            if host.aborted() {
                assert!(begun > 6, "{begun}");
                break;
            }
            assert_eq!(done.len(), begun);
            // What was asked of the host is done already, whatever becomes of the deadline.
            let asked = host.open();
            call_off(&mut host);
            let mut next = Vec::new();
            while let Some(effect) = step(&mut host) {
                next.push(effect);
            }
            done.extend(&next);
            next.retain(|effect| !asked.contains(effect));
            let noted = asked.iter().any(|effect| matches!(effect, HostEffect::NoteTold(_)));
            let signals = next.iter().filter(|effect| matches!(effect, HostEffect::SignalRunner(_))).count();
            let forced = next.iter().any(|effect| matches!(effect, HostEffect::EndJobs | HostEffect::KillRunner));
            assert!(!forced && signals == usize::from(noted), "{asked:?}, then {next:?}");
            assert!(host.aborted() && !host.agent.aborted(), "{:?}", host.agent);
            // Its jobs were failed if that signal went out which is no drain.
            let signals = done.iter().filter(|effect| matches!(effect, HostEffect::SignalRunner(_))).count();
            let failed = signals > usize::from(rules.drain == DrainBy::Signal(rules.abort));
            let outcome = host.finished.iter().find(|(request, _)| matches!(request, Request::Abort { .. }));
            let expected = if failed { Outcome::Done } else { Outcome::Unneeded };
            assert_eq!(outcome.map(|(_, outcome)| outcome), Some(&expected), "after {done:?}");
            // Another deadline is another matter.
            host.finished.clear();
            notice(&mut host);
            assert!(host.agent.aborted(), "{:?}", host.agent);
        }
    }
}
