//! The stored form of events, and what is told of a run whose history anybody wrote.

use crate::texts;
use windlass_engine::{Event, Run};
use windlass_report::{Plain, Projector, Told, console::Console, json_lines, junit, sse, summary, why};

/// The lines of a history. What decodes is decoded to the same again; what fits is applied and told; what does not changes nothing.
pub(crate) fn events(input: &[u8]) {
    let Some([text]) = texts(input) else { return };
    let mut events = Vec::new();
    for line in text.lines() {
        match Event::decode(line) {
            Ok(event) => {
                let stored = event.encode().expect("what was stored can be stored");
                assert_eq!(Event::decode(&stored).as_ref(), Ok(&event), "{stored}");
                events.push(event);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let Some((first, rest)) = events.split_first() else { return };
    let Ok((mut run, _)) = Run::create(first) else { return };
    let (mut projector, mut told) = Projector::from_created(first, 1).expect("what creates a run can be told");
    let mut fits = vec![first.clone()];
    for event in rest {
        let before = run.clone();
        match run.apply(event) {
            Ok(_) => {
                let seq = fits.len() as u64 + 1;
                told.extend(projector.push(seq, event).expect("what fits the run can be told"));
                fits.push(event.clone());
            }
            Err(_) => assert_eq!(run, before, "{event:?} was refused and changed the run"),
        }
        run.outstanding();
        run.in_flight();
        run.gates();
        run.result();
        run.why_next();
    }
    assert_eq!(Run::replay(&fits).as_ref(), Ok(&run), "a history gives one run");
    show(&run, &told);
}

/// Renders everything that can be told.
fn show(run: &Run, told: &[Told]) {
    let console = Console::new(run.plan(), 80, Plain);
    for one in told {
        assert!(console.lines(one).iter().all(|line| !line.contains('\n')), "{one:?}");
        assert!(!json_lines::line(one).trim_end_matches('\n').contains('\n'), "{one:?}");
        sse::frame(one);
        if let Some(id) = one.id() {
            assert_eq!(id.to_string().parse().as_ref(), Ok(&id));
        }
    }
    junit::render(told);
    summary::table(&summary::summary(run), &Plain);
    for step in run.steps() {
        why::why_waiting(run, step.name);
        step.skipped.map(why::why_skipped);
    }
}
