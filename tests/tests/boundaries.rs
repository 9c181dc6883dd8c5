//! Do decisions hold that concern several aggregates, inside the engine and prepared outside of it?

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::scope;
use std::time::Duration;

use factlog::{
    Aggregate, Basis, CommandError, Context, Draft, Engine, Events, Expected, Failure, Options,
    Replica, Start, State, StreamKey, StreamVersion, SuspensionCause,
};
use factlog_tests::scratch;

#[factlog::event(name = "enrol", version = 1)]
#[derive(Debug, Clone)]
struct Enrol {
    student: u64,
}

#[factlog::event(name = "enrolled", version = 1)]
#[derive(Debug)]
struct Enrolled {
    course: String,
    student: u64,
}

/// What the students' vocabulary does not know, or their fold panics at.
#[factlog::event(name = "expelled", version = 1)]
#[derive(Debug)]
struct Expelled {
    student: u64,
}

#[factlog::vocabulary]
#[derive(Debug)]
enum CourseEvent {
    Enrolled(Enrolled),
    Expelled(Expelled),
}

#[factlog::vocabulary]
enum StudentEvent {
    Enrolled(Enrolled),
}

#[factlog::value]
#[derive(Debug, Clone, Copy, PartialEq)]
enum Full {
    Course,
    Student,
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?} is full")
    }
}

const PLACES: usize = 10;
const COURSES: usize = 2;

#[derive(Debug, Default, Clone, PartialEq)]
struct Course {
    students: Vec<u64>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Student {
    courses: Vec<String>,
}

impl State for Course {
    const NAME: &'static str = "course";
    type Key = String;
    type Event = CourseEvent;

    fn evolve(&mut self, event: CourseEventView<'_>) {
        match event {
            CourseEventView::Enrolled(enrolled) => self.students.push(enrolled.student()),
            CourseEventView::Expelled(expelled) => {
                self.students.retain(|student| *student != expelled.student());
            }
        }
    }
}

impl State for Student {
    const NAME: &'static str = "student";
    type Key = u64;
    type Event = StudentEvent;

    fn evolve(&mut self, event: StudentEventView<'_>) {
        let StudentEventView::Enrolled(enrolled) = event;
        assert_ne!(enrolled.course(), "cursed", "nobody takes this one");
        self.courses.push(enrolled.course().to_owned());
    }
}

impl Aggregate for Course {
    type Command = Enrol;
    type Reply = ();
    type Rejection = Full;

    fn decide(
        &self,
        &Enrol { student }: &Enrol,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<CourseEvent>, Full> {
        if self.students.len() >= PLACES {
            return Err(Full::Course);
        }
        if context.state::<Student>(student).courses.len() >= COURSES {
            return Err(Full::Student);
        }
        let course = context.key().clone();
        if course == "school of the expelled" {
            return Ok(Events::one(Expelled { student }).also_of::<Student>(student));
        }
        Ok(Events::one(Enrolled { course, student }).also_of::<Student>(student))
    }
}

/// Nobody decides on halls, and no engine here holds them.
#[derive(Debug, Default)]
struct Hall;

impl State for Hall {
    const NAME: &'static str = "hall";
    type Key = u64;
    type Event = StudentEvent;

    fn evolve(&mut self, _: StudentEventView<'_>) {}
}

/// Students take no commands of their own.
impl Aggregate for Student {
    type Command = Enrol;
    type Reply = ();
    type Rejection = Full;

    fn decide(&self, _: &Enrol, _: &mut Context<'_, Self>) -> Result<Events<StudentEvent>, Full> {
        Ok(Events::none())
    }
}

fn open(directory: &std::path::Path) -> Engine {
    let options = Options::new().segment_size(4 << 20);
    let engine = Engine::open(directory).options(options);
    engine.aggregate::<Course>().aggregate::<Student>().start().expect("an engine")
}

fn course(engine: &Engine, name: &str) -> Course {
    engine.ask::<Course, _>(name, Course::clone).expect("a course")
}

fn student(engine: &Engine, number: u64) -> Student {
    engine.ask::<Student, _>(number, Student::clone).expect("a student")
}

#[test]
fn are_two_aggregates_decided_on_in_one_step() {
    let directory = scratch();
    let engine = open(directory.path());
    let (taken, full) = (AtomicU32::new(0), AtomicU32::new(0));
    // 40 students and 10 courses: 400 wishes, of which 80 can come true.
    scope(|scope| {
        for thread in 0..4 {
            let (engine, taken, full) = (&engine, &taken, &full);
            scope.spawn(move || {
                let wishes = (0..400_u64).filter(|wish| wish % 4 == thread);
                let sent: Vec<_> = wishes
                    .map(|wish| {
                        let (course, student) = (format!("course {}", wish / 40), wish % 40);
                        let enrol = engine.command::<Course>(course, Enrol { student });
                        enrol.send_within(Duration::from_secs(30)).expect("room")
                    })
                    .collect();
                for sent in sent {
                    match sent.wait() {
                        Ok(_) => taken.fetch_add(1, Ordering::Relaxed),
                        Err(CommandError::Rejected { .. }) => full.fetch_add(1, Ordering::Relaxed),
                        Err(other) => panic!("{other}"),
                    };
                }
            });
        }
    });
    let check = |engine: &Engine| {
        let mut places = 0;
        for number in 0..10 {
            let name = format!("course {number}");
            let of_course = course(engine, &name).students;
            assert!(of_course.len() <= PLACES, "{name}: {of_course:?}");
            places += of_course.len();
            for number in of_course {
                assert!(student(engine, number).courses.contains(&name), "{number} in {name}");
            }
        }
        let courses: Vec<_> = (0..40).map(|number| student(engine, number).courses.len()).collect();
        assert!(courses.iter().all(|courses| *courses <= COURSES), "{courses:?}");
        assert_eq!(courses.iter().sum::<usize>(), places);
        places
    };
    let places = check(&engine);
    assert_eq!(places, taken.into_inner() as usize);
    assert_eq!(places + full.into_inner() as usize, 400);
    engine.close().expect("closes");

    // What was folded from the staged events is what the log gives.
    let engine = open(directory.path());
    assert_eq!(check(&engine), places);
    let replica = Replica::of(engine.log()).state::<Student>().start().expect("a replica");
    replica.at_least(engine.log().visible().0.before(), Duration::from_secs(30)).expect("in time");
    for number in 0..40 {
        let seen = replica.with::<Student, _>(&number, Student::clone).expect("a state");
        assert_eq!(seen, student(&engine, number));
    }
    // What is read there can be decided on as well.
    let (seen, basis) = replica.read::<Student, _>(&7, Student::clone).expect("a state");
    let (here, same) = engine.read::<Student, _>(7_u64, Student::clone).expect("a state");
    assert_eq!((seen, basis), (here, same));
}

#[test]
fn does_a_command_that_fails_leave_nothing_in_further_aggregates() {
    let directory = scratch();
    let engine = open(directory.path());
    engine.call::<Course>("history", Enrol { student: 1 }).expect("taken");
    for number in [1, 2] {
        // Once for a student with events, once for one without.
        for course in ["cursed", "school of the expelled"] {
            let failed = engine.call::<Course>(course, Enrol { student: number });
            let Err(CommandError::Failed(Failure::Panicked(said))) = &failed else {
                panic!("{course}, {number}: {failed:?}")
            };
            let why = if course == "cursed" { "nobody takes" } else { "does not know" };
            assert!(said.contains(why), "{said}");
        }
    }
    assert_eq!(student(&engine, 1).courses, ["history"]);
    assert_eq!(student(&engine, 2), Student::default());
    // All go on. The stream numbers of those that failed are given to others.
    for (course, number) in [("art", 3), ("maths", 2), ("art", 2), ("art", 1)] {
        engine.call::<Course>(course, Enrol { student: number }).expect("taken");
    }
    let seen = [1, 2, 3].map(|number| student(&engine, number).courses);
    assert_eq!(seen, [vec!["history", "art"], vec!["maths", "art"], vec!["art"]]);
    assert_eq!(course(&engine, "art").students, [3, 2, 1]);
    assert_eq!(course(&engine, "cursed"), Course::default());
    engine.close().expect("closes");
    let engine = open(directory.path());
    let again = [1, 2, 3].map(|number| student(&engine, number).courses);
    assert_eq!(again, seen);
    assert_eq!(course(&engine, "art").students, [3, 2, 1]);
}

/// The number of a stream of a kind that the engine does not hold is given again, if its command came to
/// nothing: to a student, whose events count.
#[test]
fn does_a_command_that_fails_leave_no_number_to_nobody() {
    let directory = scratch();
    let engine = open(directory.path());
    let fail = |hall: u64| {
        let events = Events::one(Enrolled { course: "cursed".into(), student: 1_000 });
        let events = events.also_of::<Hall>(hall).also_of::<Student>(1_000);
        let sent = engine.command::<Course>("cursed", Enrol { student: 1_000 });
        let failed = sent.prepared(Basis::new(), events).call();
        assert!(matches!(failed, Err(CommandError::Failed(Failure::Panicked(_)))), "{failed:?}");
    };
    // The course has the number that `cursed` would have had, and the student that of the hall.
    fail(1);
    engine.call::<Course>("art", Enrol { student: 1 }).expect("taken");
    assert_eq!(student(&engine, 1).courses, ["art"]);
    // The same where nobody decides: two new streams.
    fail(2);
    let draft = |number: u64| {
        let stream = StreamKey::new("student", number).expect("a key");
        Draft::new(Enrolled { course: "maths".into(), student: number })
            .stream(stream, Expected::NEW)
    };
    engine.append(vec![draft(2), draft(3)]).expect("appended");
    let seen = [1, 2, 3].map(|number| student(&engine, number).courses);
    assert_eq!(seen, [["art"], ["maths"], ["maths"]]);
    engine.close().expect("closes");
    let engine = open(directory.path());
    assert_eq!([1, 2, 3].map(|number| student(&engine, number).courses), seen);
}

#[test]
fn does_a_decision_stop_at_a_suspended_instance() {
    let directory = scratch();
    {
        let mut writer =
            Options::new().segment_size(4 << 20).open(directory.path()).expect("opens");
        let stream = StreamKey::new("student", 7_u64).expect("a key");
        let meta = factlog::Meta::new().stream(&stream, factlog::Expected::NEW);
        writer.append_with(&Expelled { student: 7 }, meta).expect("appends");
    }
    let engine = open(directory.path());
    let refused = engine.call::<Course>("art", Enrol { student: 7 });
    assert!(
        matches!(&refused, Err(CommandError::Suspended(why))
            if matches!(why.cause, SuspensionCause::Unknown { .. })),
        "{refused:?}"
    );
    engine.call::<Course>("art", Enrol { student: 8 }).expect("taken");
}

/// One seat, and many who want it: each reads the seat and itself, decides for itself, and sends.
#[test]
fn has_one_seat_one_winner() {
    const ATTEMPTS: u64 = 1_000;
    const THREADS: u64 = 8;
    let directory = scratch();
    let engine = open(directory.path());
    // All but one place are taken.
    for number in 0..PLACES as u64 - 1 {
        engine.call::<Course>("art", Enrol { student: 10_000 + number }).expect("taken");
    }
    let (won, conflicts) = (AtomicU32::new(0), AtomicU32::new(0));
    let ready = std::sync::Barrier::new(THREADS as usize);
    scope(|scope| {
        for thread in 0..THREADS {
            let (engine, won, conflicts, ready) = (&engine, &won, &conflicts, &ready);
            scope.spawn(move || {
                let mine = (0..ATTEMPTS).filter(|number| number % THREADS == thread);
                let prepared: Vec<_> = mine
                    .map(|number| {
                        let (places, basis) = engine
                            .read::<Course, _>("art", |art| art.students.len())
                            .expect("seen");
                        let (courses, own) = engine
                            .read::<Student, _>(number, |student| student.courses.len())
                            .expect("seen");
                        assert!(places < PLACES && courses < COURSES);
                        (number, basis.and(own))
                    })
                    .collect();
                // Everybody has decided before anybody sends.
                ready.wait();
                for (student, basis) in prepared {
                    let events = Events::one(Enrolled { course: "art".into(), student });
                    let events = events.also_of::<Student>(student);
                    let sent = engine.command::<Course>("art", Enrol { student });
                    match sent.prepared(basis, events).call() {
                        Ok(_) => won.fetch_add(1, Ordering::Relaxed),
                        Err(CommandError::Conflict(conflict)) => {
                            assert_eq!(conflict.stream.category(), "course");
                            assert_eq!(conflict.found, conflict.basis.next());
                            conflicts.fetch_add(1, Ordering::Relaxed)
                        }
                        Err(other) => panic!("{other}"),
                    };
                }
            });
        }
    });
    assert_eq!((won.into_inner(), conflicts.into_inner()), (1, ATTEMPTS as u32 - 1));
    let students = course(&engine, "art").students;
    assert_eq!(students.len(), PLACES);
    assert_eq!(student(&engine, students[PLACES - 1]).courses, ["art"]);
}

#[test]
fn is_a_prepared_command_refused_for_its_basis_alone() {
    let directory = scratch();
    let engine = open(directory.path());
    let events = |student| {
        Events::one(Enrolled { course: "art".into(), student }).also_of::<Student>(student)
    };
    let stream = |student: u64| StreamKey::new("student", student).expect("a key");
    // The student alone is its basis: what else the course does is nobody's business.
    let basis = engine.read::<Student, _>(1_u64, |_| ()).expect("seen").1;
    assert_eq!(basis, Basis::new().with(stream(1), StreamVersion::NONE));
    engine.call::<Course>("art", Enrol { student: 2 }).expect("taken");
    let sent = engine.command::<Course>("art", Enrol { student: 1 });
    let receipt = sent.prepared(basis.clone(), events(1)).reply(()).call().expect("no conflict");
    assert_eq!((receipt.events, receipt.reply), (1, Some(())));
    // Now it has changed. A conflict is not remembered: prepared anew, the same key is taken.
    let stale = engine.command::<Course>("art", Enrol { student: 1 }).idempotency_key("once");
    let refused = stale.prepared(basis, events(1)).call();
    let Err(CommandError::Conflict(conflict)) = refused else { panic!("{refused:?}") };
    assert_eq!((conflict.stream, conflict.found), (stream(1), StreamVersion::new(1)));
    for duplicate in [false, true] {
        let basis = engine.read::<Student, _>(1_u64, |_| ()).expect("seen").1;
        let anew = engine.command::<Course>("art", Enrol { student: 1 }).idempotency_key("once");
        let receipt = anew.prepared(basis, events(1)).call().expect("taken");
        assert_eq!((receipt.duplicate, receipt.events), (duplicate, 1));
    }
    // Two versions of the same stream: the older one counts.
    let both = Basis::new().with(stream(1), StreamVersion::new(2));
    let both = both.and(Basis::new().with(stream(1), StreamVersion::new(1)));
    assert_eq!(both.streams(), [(stream(1), StreamVersion::new(1))]);
    let read = engine.log().cursor(Start::Oldest).and_then(|mut all| {
        let mut count = 0;
        while let Some(event) = all.next_event()? {
            count += usize::from(event.get::<Enrolled>().is_ok_and(|event| event.is_some()));
        }
        Ok(count)
    });
    assert_eq!(read.expect("readable"), 3);
}
