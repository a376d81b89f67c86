use std::time::Duration;

use super::*;
use crate::Lease;

#[test]
fn a_machine_is_small_enough_for_a_hundred_thousand() {
    assert!(size_of::<Machine>() <= 232, "{} bytes", size_of::<Machine>());
}

const HOUR: Duration = Duration::from_secs(3600);
const START: Moment = Moment::from_millis(1_000_000);

fn vault() -> Ladder {
    Ladder::of(&[Step::Renew, Step::SignIn, Step::Probe])
}

fn machine(ladder: Ladder) -> Machine {
    Machine::new(Policy::default(), ladder, 7)
}

/// Polls until it waits; returns until when, and what was told on the way.
fn rest(machine: &mut Machine, now: Moment) -> (Moment, Vec<Notice>) {
    let mut told = Vec::new();
    loop {
        match machine.poll(now) {
            Action::Wait { until } => return (until, told),
            Action::Tell(notice) => told.push(notice),
            other => panic!("{other:?}"),
        }
    }
}

/// Polls until it calls.
fn call(machine: &mut Machine, now: Moment) -> (Flight, Step) {
    loop {
        match machine.poll(now) {
            Action::Call { flight, step, .. } => return (flight, step),
            Action::Tell(_) => {}
            other => panic!("{other:?} at {now:?}"),
        }
    }
}

/// Waits for the next call, makes it, and gives it that answer at once; returns when that was, and which step.
fn next(machine: &mut Machine, now: Moment, answer: Answer) -> (Moment, Step) {
    let mut at = now;
    loop {
        match machine.poll(at) {
            Action::Wait { until } => at = until,
            Action::Call { flight, step, .. } => {
                let _ = machine.handle(Event::Answered { flight, answer }, at);
                return (at, step);
            }
            _ => {}
        }
    }
}

fn signed_in(ladder: Ladder, lease: Lease) -> Machine {
    let mut machine = machine(ladder);
    let (at, step) = next(&mut machine, START, Answer::Granted(lease));
    assert_eq!((at, step), (START, Step::SignIn));
    machine
}

fn hour() -> Lease {
    Lease::of(HOUR).renewable()
}

#[test]
fn its_end_counts_from_when_the_request_was_sent() {
    let mut machine = machine(vault());
    let (flight, _) = call(&mut machine, START);
    let answer = Answer::Granted(hour());
    let _ = machine.handle(Event::Answered { flight, answer }, START + Duration::from_secs(9));
    assert_eq!(machine.expires(), Some(START + HOUR));
}

#[test]
fn nothing_is_ever_due_for_a_token_that_does_not_end() {
    let mut machine = signed_in(vault(), Lease::endless());
    assert_eq!(rest(&mut machine, START).0, Moment::NEVER);
    assert!(machine.serves(START + HOUR * 1_000_000));
}

#[test]
fn an_hour_renews_between_minute_36_and_45() {
    let mut machine = signed_in(vault(), hour());
    let (at, step) = next(&mut machine, START, Answer::Granted(hour()));
    assert_eq!(step, Step::Renew);
    assert!(at >= START + HOUR * 6 / 10 && at <= START + HOUR * 3 / 4, "{at:?}");
    assert_eq!(machine.expires(), Some(at + HOUR));
}

#[test]
fn ten_seconds_renew_after_five() {
    let mut machine = signed_in(vault(), Lease::of(Duration::from_secs(10)).renewable());
    let (at, _) = next(&mut machine, START, Answer::Granted(hour()));
    assert_eq!(at, START + Duration::from_secs(5));
}

#[test]
fn a_renewal_that_gains_nothing_was_against_the_cap_and_the_token_is_replaced_before_its_end() {
    let mut machine = signed_in(vault(), hour());
    // The cap is at minute 100. The first renewal gains what has passed, the second one next to nothing.
    let end = START + HOUR * 100 / 60;
    let left = |now: Moment| Answer::Granted(Lease::of((end - now).min(HOUR)).renewable());
    let first = rest(&mut machine, START).0;
    let (at, _) = next(&mut machine, START, left(first));
    assert_eq!(machine.phase(at), Phase::Fresh);
    let second = rest(&mut machine, at).0;
    let (at, step) = next(&mut machine, at, left(second));
    assert_eq!((step, machine.phase(at)), (Step::Renew, Phase::Capped));
    let (until, told) = rest(&mut machine, at);
    assert_eq!(told, [Notice::Renewed, Notice::Capped]);
    let before = end - until;
    assert!(before >= HOUR * 9 / 60 && before <= HOUR * 135 / 600 + Duration::from_secs(1), "{before:?}");
    assert_eq!(next(&mut machine, at, Answer::Granted(hour())), (until, Step::SignIn));
    assert_eq!(rest(&mut machine, until).1, [Notice::SignedInAgain]);
    // What was learned: the next token will not be renewed in vain.
    let first = rest(&mut machine, until).0;
    assert!(first - until <= HOUR * 3 / 4);
}

#[test]
fn a_warning_and_an_explicit_max_ttl_tell_of_the_cap_without_a_renewal() {
    for lease in [hour().with_cap_warning(true), hour().with_explicit_max_ttl(Some(HOUR))] {
        let machine = signed_in(vault(), lease);
        assert_eq!(machine.phase(START), Phase::Capped, "{lease:?}");
    }
    let machine = signed_in(vault(), hour().with_explicit_max_ttl(Some(HOUR * 4)));
    assert_eq!(machine.phase(START), Phase::Fresh);
}

#[test]
fn a_cap_that_was_met_once_is_known_for_the_next_token() {
    let mut machine = signed_in(vault(), hour());
    let end = START + HOUR;
    let at = rest(&mut machine, START).0;
    let (at, _) = next(&mut machine, at, Answer::Granted(Lease::of(end - at).renewable()));
    assert_eq!(machine.phase(at), Phase::Capped);
    let (at, step) = next(&mut machine, at, Answer::Granted(hour()));
    assert_eq!((step, machine.phase(at)), (Step::SignIn, Phase::Capped), "a renewal would be in vain");
    let due = rest(&mut machine, at).0;
    assert!(due - at >= HOUR * 775 / 1000 && due - at <= HOUR * 85 / 100, "{:?}", due - at);
}

#[test]
fn a_periodic_token_is_renewed_for_ever_unless_it_has_an_explicit_max_ttl() {
    let lease = hour().with_period(Some(HOUR));
    let mut machine = signed_in(vault(), lease);
    let mut at = START;
    for _ in 0..100 {
        let (next_at, step) = next(&mut machine, at, Answer::Granted(lease));
        assert_eq!(step, Step::Renew);
        at = next_at;
    }
    let lease = lease.with_explicit_max_ttl(Some(HOUR * 3 / 2));
    let mut machine = signed_in(vault(), lease);
    let at = rest(&mut machine, START).0;
    let left = START + HOUR * 3 / 2 - at;
    let _ = next(&mut machine, at, Answer::Granted(Lease::of(left).renewable().with_period(Some(HOUR))));
    assert_eq!(machine.phase(at), Phase::Capped);
}

#[test]
fn what_cannot_be_renewed_is_replaced_where_others_renew() {
    for lease in [Lease::of(HOUR), hour().with_num_uses(Some(3))] {
        let mut machine = signed_in(vault(), lease);
        let (at, step) = next(&mut machine, START, Answer::Granted(lease));
        assert_eq!(step, Step::SignIn, "{lease:?}");
        assert!(at >= START + HOUR * 6 / 10 && at <= START + HOUR * 3 / 4, "{at:?}");
    }
}

#[test]
fn a_token_whose_uses_are_counted_is_never_asked_after() {
    let mut machine = signed_in(vault(), hour().with_num_uses(Some(3)));
    let now = START + Duration::from_secs(60);
    let _ = machine.handle(Event::Refused { certain: false }, now);
    assert!(!machine.serves(now));
    let _ = machine.handle(Event::Wanted, now);
    assert_eq!(call(&mut machine, now).1, Step::SignIn);
}

#[test]
fn after_a_failure_the_old_token_serves_on_and_attempts_come_closer_than_a_quarter_of_what_is_left() {
    let mut machine = signed_in(vault(), hour());
    let later = Answer::Failed(Setback::Later { after: None });
    let (mut at, mut attempts) = (START, 0);
    loop {
        let (next_at, _) = next(&mut machine, at, later);
        if next_at >= START + HOUR {
            break;
        }
        if attempts > 0 {
            let left = START + HOUR - at;
            assert!(next_at - at <= (left / 4).max(Duration::from_secs(1)).min(Duration::from_secs(60)));
        }
        (at, attempts) = (next_at, attempts + 1);
        if at < (START + HOUR).before(Duration::from_secs(2)) {
            assert!(machine.serves(at));
        }
    }
    assert!(attempts > 15, "{attempts}");
    assert!(!machine.serves((START + HOUR).before(Duration::from_secs(2))));
}

#[test]
fn a_server_that_asks_for_rest_gets_it_but_not_the_last_attempt() {
    let mut machine = signed_in(vault(), hour());
    let asked = |seconds| Answer::Failed(Setback::Later { after: Some(Duration::from_secs(seconds)) });
    let (at, _) = next(&mut machine, START, asked(120));
    let (again, _) = next(&mut machine, at, asked(120));
    assert!(
        again - at >= Duration::from_secs(120) && again - at <= Duration::from_secs(122),
        "{:?}",
        again - at
    );
    // Five seconds of rest more than there is life.
    let mut machine = signed_in(vault(), Lease::of(Duration::from_secs(60)).renewable());
    let (at, _) = next(&mut machine, START, asked(65));
    let (again, _) = next(&mut machine, at, asked(1));
    assert!(again < START + Duration::from_secs(51), "{again:?}");
}

#[test]
fn a_dead_token_is_replaced_after_a_pause_that_keeps_a_crowd_apart() {
    let mut pauses = Vec::new();
    for seed in 0..200 {
        let mut machine = Machine::new(Policy::default(), vault(), seed);
        let _ = next(&mut machine, START, Answer::Granted(hour()));
        let _ = machine.handle(Event::Refused { certain: true }, START);
        assert!(!machine.serves(START));
        let (until, told) = rest(&mut machine, START);
        assert!(told.contains(&Notice::Lost));
        pauses.push(until - START);
    }
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(30)));
    let early = pauses.iter().filter(|pause| **pause < Duration::from_secs(15)).count();
    assert!((60..140).contains(&early), "{early}");
}

#[test]
fn a_request_that_waits_ends_that_pause() {
    let mut machine = signed_in(vault(), hour());
    let now = START + Duration::from_secs(60);
    let _ = machine.handle(Event::Refused { certain: true }, now);
    let _ = machine.handle(Event::Wanted, now);
    assert_eq!(call(&mut machine, now).1, Step::SignIn);
}

#[test]
fn a_request_that_waits_does_not_end_the_pause_after_a_failure() {
    let mut machine = machine(vault());
    for _ in 0..8 {
        let _ = next(&mut machine, START, Answer::Failed(Setback::Later { after: None }));
    }
    let now = next(&mut machine, START, Answer::Failed(Setback::Later { after: None })).0;
    let until = rest(&mut machine, now).0;
    let _ = machine.handle(Event::Wanted, now);
    assert_eq!(rest(&mut machine, now).0, until);
    // But somebody who looks at the page does.
    let _ = machine.handle(Event::Nudged, now);
    assert!(rest(&mut machine, now).0 <= now + Duration::from_secs(1));
}

#[test]
fn many_refused_requests_make_one_probe_and_a_policy_is_not_the_end_of_a_token() {
    let mut machine = signed_in(vault(), hour());
    let now = START + Duration::from_secs(60);
    for _ in 0..100 {
        let _ = machine.handle(Event::Refused { certain: false }, now);
    }
    let (flight, step) = call(&mut machine, now);
    assert_eq!(step, Step::Probe);
    assert!(machine.serves(now), "nobody knows yet that it is dead");
    let _ = machine.handle(Event::Answered { flight, answer: Answer::Alive }, now);
    for _ in 0..100 {
        let _ = machine.handle(Event::Refused { certain: false }, now);
    }
    assert_eq!(
        rest(&mut machine, now).0,
        now + Duration::from_secs(10),
        "one verdict stands for ten seconds"
    );
    let (flight, _) = call(&mut machine, now + Duration::from_secs(10));
    let answer = Answer::Failed(Setback::Denied);
    let _ = machine.handle(Event::Answered { flight, answer }, now + Duration::from_secs(10));
    assert!(!machine.serves(now + Duration::from_secs(10)), "the probe was refused as well");
}

#[test]
fn a_renewal_that_a_policy_forbids_is_not_tried_again() {
    let mut machine = signed_in(vault(), hour());
    let (at, step) = next(&mut machine, START, Answer::Failed(Setback::Denied));
    assert_eq!(step, Step::Renew);
    assert_eq!(next(&mut machine, at, Answer::Alive), (at, Step::Probe));
    assert!(machine.serves(at));
    let (soon, step) = next(&mut machine, at, Answer::Granted(hour()));
    assert_eq!(step, Step::SignIn);
    assert!(soon - at <= Duration::from_secs(30), "{:?}", soon - at);
}

#[test]
fn a_refresh_whose_answer_was_lost_is_tried_again_at_once_and_then_no_more_in_haste() {
    let mut machine = signed_in_by_refresh(Ladder::of(&[Step::Refresh, Step::SignIn]));
    let unknown = Answer::Failed(Setback::Unknown);
    let (at, step) = next(&mut machine, START, unknown);
    assert_eq!(step, Step::Refresh);
    assert_eq!(next(&mut machine, at, unknown), (at + MIN_SPACING, Step::Refresh));
    let (last, step) = next(&mut machine, at, Answer::Failed(Setback::Over));
    assert_eq!(step, Step::Refresh);
    // `invalid_grant` is the end of that way, and the next one is taken.
    let (_, step) = next(&mut machine, last, Answer::Granted(Lease::of(HOUR)));
    assert_eq!(step, Step::SignIn);
}

fn signed_in_by_refresh(ladder: Ladder) -> Machine {
    let mut machine = machine(ladder);
    let (_, step) = next(&mut machine, START, Answer::Granted(Lease::of(HOUR)));
    assert_eq!(step, Step::Refresh);
    machine
}

#[test]
fn a_person_is_asked_in_time_when_only_a_person_can_help() {
    let mut machine = signed_in_by_refresh(Ladder::of(&[Step::Refresh]).with_person());
    let (at, _) = next(&mut machine, START, Answer::Failed(Setback::Over));
    assert_eq!(machine.phase(at), Phase::Fresh);
    let until = rest(&mut machine, at).0;
    assert_eq!(until, (START + HOUR).before(Duration::from_secs(600)), "ten minutes are a person's");
    let by = Some(START + HOUR);
    assert_eq!(rest(&mut machine, until).1, [Notice::NeedsPerson { by }]);
    assert_eq!((machine.phase(until), machine.serves(until)), (Phase::Asking, true));
    let verdict = machine.handle(Event::Supplied { lease: Lease::of(HOUR), sent: until }, until);
    assert_eq!((verdict, machine.phase(until)), (Verdict::Adopted, Phase::Fresh));
    // And with the person came a new refresh token.
    assert_eq!(next(&mut machine, until, Answer::Granted(Lease::of(HOUR))).1, Step::Refresh);
}

#[test]
fn a_refused_login_asks_a_person_and_is_tried_on() {
    let mut machine = machine(vault().with_person());
    let (at, _) = next(&mut machine, START, Answer::Failed(Setback::Over));
    assert_eq!(rest(&mut machine, at).1, [Notice::NeedsPerson { by: None }]);
    let (again, step) = next(&mut machine, at, Answer::Granted(hour()));
    assert_eq!(step, Step::SignIn);
    assert!(again - at >= Duration::from_secs(1) && again - at <= Duration::from_secs(5));
    assert_eq!(machine.phase(again), Phase::Fresh);
}

#[test]
fn near_the_end_dearer_steps_are_tried_beside_the_cheaper_one() {
    let mut machine = signed_in(vault(), hour());
    let (mut at, mut steps) = (START, Vec::new());
    while at < START + HOUR {
        let (next_at, step) = next(&mut machine, at, Answer::Failed(Setback::Later { after: None }));
        steps.push((next_at - START, step));
        at = next_at;
    }
    let first = steps.iter().find(|(_, step)| *step == Step::SignIn).unwrap();
    assert_eq!(first.0, HOUR * 85 / 100, "15 % before the end");
}

#[test]
fn a_call_that_takes_too_long_is_given_up_and_its_answer_does_not_count() {
    let mut machine = signed_in(vault(), hour());
    let at = rest(&mut machine, START).0;
    let (slow, _) = call(&mut machine, at);
    let until = rest(&mut machine, at).0;
    assert_eq!(until, at + Duration::from_secs(30));
    assert_eq!(machine.poll(until), Action::Abandon(slow));
    let before = machine.clone();
    let answer = Answer::Granted(Lease::of(HOUR * 9).renewable());
    assert_eq!(machine.handle(Event::Answered { flight: slow, answer }, until), Verdict::Superseded);
    assert_eq!(machine, before);
}

#[test]
fn a_login_that_loses_the_race_against_a_person_is_superseded() {
    let mut machine = machine(vault());
    let (flight, _) = call(&mut machine, START);
    let lease = Lease::of(HOUR * 2).renewable();
    assert_eq!(machine.handle(Event::Supplied { lease, sent: START }, START), Verdict::Adopted);
    let answer = Answer::Granted(hour());
    assert_eq!(machine.handle(Event::Answered { flight, answer }, START), Verdict::Superseded);
    assert_eq!(machine.expires(), Some(START + HOUR * 2));
}

#[test]
fn a_renewal_that_leaves_less_than_a_second_is_no_eternity() {
    let machine = signed_in(vault(), hour());
    for lease in [Lease::endless(), Lease::of(Duration::ZERO).renewable()] {
        let (at, _) = next(&mut machine.clone(), START, Answer::Granted(lease));
        let mut machine = machine.clone();
        let _ = next(&mut machine, START, Answer::Granted(lease));
        assert_eq!(machine.expires(), Some(START + HOUR), "{lease:?}");
        assert_eq!(next(&mut machine, at, Answer::Granted(hour())).1, Step::SignIn);
    }
}

#[test]
fn who_can_only_renew_goes_on_renewing_against_the_cap_but_not_often() {
    let mut machine = machine(Ladder::of(&[Step::Renew]));
    let _ = machine.handle(Event::Supplied { lease: hour(), sent: START }, START);
    let (mut at, mut renewals) = (START, 0);
    while machine.serves(at) && renewals < 100 {
        let due = rest(&mut machine, at).0;
        if due >= machine.serves_until() {
            break;
        }
        let left = START + HOUR - due;
        at = next(&mut machine, at, Answer::Granted(Lease::of(left).renewable())).0;
        renewals += 1;
    }
    assert!((2..15).contains(&renewals), "{renewals}");
}

#[test]
fn stopping_gives_the_token_back_only_when_asked() {
    for (revoke, expected) in [(true, Action::Revoke), (false, Action::Stop)] {
        let mut machine = signed_in(vault(), hour());
        let _ = machine.handle(Event::Stop { revoke }, START);
        assert_eq!(machine.poll(START), expected);
        assert_eq!(machine.poll(START), Action::Stop);
    }
}

#[test]
fn a_stop_waits_for_the_call_under_way_and_wants_its_token_no_more() {
    let mut machine = machine(vault());
    let (flight, _) = call(&mut machine, START);
    let _ = machine.handle(Event::Stop { revoke: true }, START);
    assert!(matches!(machine.poll(START), Action::Wait { .. }));
    let answer = Answer::Granted(hour());
    assert_eq!(machine.handle(Event::Answered { flight, answer }, START), Verdict::Superseded);
    assert_eq!(machine.poll(START), Action::Stop);
}

#[test]
fn a_snapshot_has_the_same_end_in_another_process() {
    let noon = std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut machine = signed_in(vault(), hour());
    let due = rest(&mut machine, START).0;
    let snapshot = machine.snapshot(START, noon);
    let now = Moment::from_millis(5);
    let later = Duration::from_secs(600);
    let mut resumed = snapshot.clone().resume(now, noon + later, 1);
    assert_eq!(resumed.expires(), Some((now + HOUR).before(later)));
    assert_eq!(rest(&mut resumed, now).0, (now + (due - START)).before(later));
    let resumed = snapshot.clone().resume(now, noon + HOUR, 1);
    assert!(!resumed.serves(now));
    let resumed = snapshot.resume(now, noon - later, 1);
    assert!(!resumed.serves(now), "the clock was set back, and nobody knows how long it slept");
}

#[test]
fn no_step_allocates() {
    let granted = Answer::Granted(Lease::of(HOUR).renewable());
    let later = Answer::Failed(Setback::Later { after: None });
    let mut machine = machine(vault());
    let mut now = START;
    let counted = allocation_counter::measure(|| {
        for turn in 0..1000 {
            let answer = if turn % 7 == 3 { later } else { granted };
            (now, _) = next(&mut machine, now, answer);
            if turn % 50 == 49 {
                let _ = machine.handle(Event::Refused { certain: true }, now);
            }
        }
    });
    assert!(now > START + HOUR * 100, "time has passed: {now:?}");
    assert_eq!(counted.count_total, 0);
}
