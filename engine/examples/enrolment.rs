//! Students and courses: a decision that two of them have a say in. The challenge and the speed run of the
//! community around Dynamic Consistency Boundaries (dcb.events, and the Python library
//! `eventsourcing`), as this engine has it.
//!
//! A course has so many places; a student takes so many courses. Who joins a course is counted by both: one
//! fact, in two streams, decided in one step. What that community finds by a query over tags, and guards by
//! a condition on appending, is here the state of a course and of a student, which the one thread that
//! decides has at hand.
//!
//! ```text
//! cargo run --release --example enrolment              # the rules, then two seconds of speed run
//! cargo run --release --example enrolment -- 10        # ten seconds of it
//! cargo run --release --example enrolment -- 10 always # each command durable before it is answered
//! ```
//!
//! The same as there: the rules; an iteration, which registers 10 students and 10 courses and has every
//! student join every course, 120 commands, each sent by one client when the one before it was answered; that
//! a command leads to one event. Not the same: there is no server, and no socket in between; students and
//! courses are numbered, not named by UUIDs; what was answered is visible, and durable only with
//! `always`.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use factlog::{Aggregate, CommandError, Context, Durability, Engine, Events, Options, State};

// What has happened.

#[factlog::event(name = "student-registered", version = 1)]
pub(crate) struct StudentRegistered {
    name: String,
    max_courses: u32,
}

#[factlog::event(name = "course-registered", version = 1)]
pub(crate) struct CourseRegistered {
    name: String,
    places: u32,
}

#[factlog::event(name = "student-joined-course", version = 1)]
pub(crate) struct StudentJoinedCourse {
    student: u64,
    course: u64,
}

// A student.

#[factlog::vocabulary]
pub(crate) enum StudentEvent {
    Registered(StudentRegistered),
    Joined(StudentJoinedCourse),
}

#[derive(Default)]
pub(crate) struct Student {
    registered: bool,
    max_courses: u32,
    pub(crate) courses: BTreeSet<u64>,
}

impl State for Student {
    const NAME: &'static str = "student";
    type Key = u64;
    type Event = StudentEvent;

    fn evolve(&mut self, event: StudentEventView<'_>) {
        match event {
            StudentEventView::Registered(student) => {
                (self.registered, self.max_courses) = (true, student.max_courses());
            }
            StudentEventView::Joined(joined) => {
                self.courses.insert(joined.course());
            }
        }
    }
}

#[factlog::event(name = "register-student", version = 1)]
pub(crate) struct RegisterStudent {
    pub(crate) name: String,
    pub(crate) max_courses: u32,
}

impl Aggregate for Student {
    type Command = RegisterStudent;
    type Reply = ();
    type Rejection = Refused;

    fn decide(
        &self,
        student: &RegisterStudent,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<StudentEvent>, Refused> {
        if self.registered {
            return Err(Refused::RegisteredAlready);
        }
        let (name, max_courses) = (student.name.clone(), student.max_courses);
        Ok(Events::one(StudentRegistered { name, max_courses }))
    }
}

// A course.

#[factlog::vocabulary]
pub(crate) enum CourseEvent {
    Registered(CourseRegistered),
    Joined(StudentJoinedCourse),
}

#[derive(Default)]
pub(crate) struct Course {
    registered: bool,
    places: u32,
    pub(crate) students: BTreeSet<u64>,
}

impl State for Course {
    const NAME: &'static str = "course";
    type Key = u64;
    type Event = CourseEvent;

    fn evolve(&mut self, event: CourseEventView<'_>) {
        match event {
            CourseEventView::Registered(course) => {
                (self.registered, self.places) = (true, course.places());
            }
            CourseEventView::Joined(joined) => {
                self.students.insert(joined.student());
            }
        }
    }
}

#[factlog::event(name = "register-course", version = 1)]
pub(crate) struct RegisterCourse {
    pub(crate) name: String,
    pub(crate) places: u32,
}

#[factlog::event(name = "join-course", version = 1)]
pub(crate) struct JoinCourse {
    pub(crate) student: u64,
}

#[factlog::vocabulary]
pub(crate) enum CourseCommand {
    Register(RegisterCourse),
    Join(JoinCourse),
}

impl Aggregate for Course {
    type Command = CourseCommand;
    type Reply = ();
    type Rejection = Refused;

    fn decide(
        &self,
        command: &CourseCommand,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<CourseEvent>, Refused> {
        let JoinCourse { student: id } = match command {
            CourseCommand::Join(join) => join,
            CourseCommand::Register(_) if self.registered => {
                return Err(Refused::RegisteredAlready);
            }
            CourseCommand::Register(course) => {
                let (name, places) = (course.name.clone(), course.places);
                return Ok(Events::one(CourseRegistered { name, places }));
            }
        };
        // Both boundaries, in one step: nobody joins anything meanwhile.
        let student = context.state::<Student>(*id);
        if !self.registered {
            return Err(Refused::NoSuchCourse);
        }
        if !student.registered {
            return Err(Refused::NoSuchStudent);
        }
        if self.students.contains(id) {
            return Err(Refused::JoinedAlready);
        }
        if student.courses.len() >= student.max_courses as usize {
            return Err(Refused::TooManyCourses);
        }
        if self.students.len() >= self.places as usize {
            return Err(Refused::FullyBooked);
        }
        let joined = StudentJoinedCourse { student: *id, course: *context.key() };
        Ok(Events::one(joined).also_of::<Student>(*id))
    }
}

/// Why not.
#[factlog::value]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    RegisteredAlready,
    NoSuchCourse,
    NoSuchStudent,
    JoinedAlready,
    TooManyCourses,
    FullyBooked,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RegisteredAlready => "it is registered already",
            Self::NoSuchCourse => "there is no such course",
            Self::NoSuchStudent => "there is no such student",
            Self::JoinedAlready => "the student takes that course already",
            Self::TooManyCourses => "the student takes as many courses as can be",
            Self::FullyBooked => "the course is fully booked",
        })
    }
}

// The speed run.

/// Students, and courses, of an iteration.
pub(crate) const EACH: u64 = 10;
/// Commands of an iteration.
pub(crate) const COMMANDS: u64 = EACH + EACH + EACH * EACH;

/// All commands of an iteration, in order, each given to one of the two.
pub(crate) fn iteration(
    number: u64,
    mut student: impl FnMut(u64, RegisterStudent),
    mut course: impl FnMut(u64, CourseCommand),
) {
    let ids = || number * EACH..(number + 1) * EACH;
    for id in ids() {
        student(id, RegisterStudent { name: format!("student {id}"), max_courses: EACH as u32 });
    }
    for id in ids() {
        let name = format!("course {id}");
        course(id, RegisterCourse { name, places: EACH as u32 }.into());
    }
    for student in ids() {
        ids().for_each(|id| course(id, JoinCourse { student }.into()));
    }
}

const USAGE: &str =
    "enrolment [SECONDS [always]]: two seconds, if nothing is said; always: each answer is durable";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (seconds, durability) = match *words.as_slice() {
        [] => (Ok(2), Durability::default()),
        [seconds] => (seconds.parse::<u64>(), Durability::default()),
        [seconds, "always"] => (seconds.parse(), Durability::Always),
        _ => return Err(USAGE.into()),
    };
    let seconds = seconds.map_err(|_| USAGE)?;
    let directory = tempfile::tempdir()?;
    let engine = Engine::open(directory.path())
        .options(Options::new().durability(durability))
        .aggregate::<Student>()
        .aggregate::<Course>()
        .start()?;

    // The rules. These numbers are out of the way of the speed run's.
    let (art, music, ada, bob) = (u64::MAX, u64::MAX - 1, u64::MAX, u64::MAX - 1);
    let register = |name: &str| RegisterStudent { name: name.into(), max_courses: 1 };
    engine.call::<Student>(ada, register("Ada"))?;
    engine.call::<Student>(bob, register("Bob"))?;
    engine.call::<Course>(art, RegisterCourse { name: "art".into(), places: 1 })?;
    engine.call::<Course>(music, RegisterCourse { name: "music".into(), places: 1 })?;
    engine.call::<Course>(art, JoinCourse { student: ada })?;
    for (course, student, who) in [(music, ada, "Ada joins music"), (art, bob, "Bob joins art")] {
        match engine.call::<Course>(course, JoinCourse { student }) {
            Err(CommandError::Rejected { reason, .. }) => println!("{who}: no, {reason}"),
            other => println!("{who}: {other:?}"),
        }
    }

    println!("\n{COMMANDS} commands an iteration: {EACH} students, {EACH} courses, all join all");
    let (began, mut next, mut iterations) = (Instant::now(), 1, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        iteration(
            iterations,
            |id, command| {
                engine.call::<Student>(id, command).expect("accepted");
            },
            |id, command| {
                engine.call::<Course>(id, command).expect("accepted");
            },
        );
        iterations += 1;
        if began.elapsed() >= Duration::from_secs(next) || next > seconds {
            let commands = iterations * COMMANDS;
            let each = began.elapsed().as_secs_f64() / commands as f64;
            let (micros, rate) = (each * 1e6, 1.0 / each);
            println!("{next:>4} s {iterations:>8} iterations {micros:>8.2} us each {rate:>10.0}/s");
            next += 1;
        }
    }
    let events = engine.log().visible().0;
    println!("{events} events: one for each command that was accepted");
    engine.close()?;
    Ok(())
}
