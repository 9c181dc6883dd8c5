//! Does the enrolment example keep both of its boundaries, and lead to one fact for each command?

#[allow(dead_code, reason = "the example has a main of its own")]
#[path = "../../engine/examples/enrolment.rs"]
mod enrolment;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use enrolment::{
    COMMANDS, Course, JoinCourse, Refused, RegisterCourse, RegisterStudent, Student, iteration,
};
use factlog::{CommandError, Engine, Sequence, Start, StreamKey, StreamVersion};
use factlog_tests::{Random, small};

fn engine(directory: &std::path::Path) -> Engine {
    let engine = Engine::open(directory).options(small());
    engine.aggregate::<Student>().aggregate::<Course>().start().expect("an engine")
}

/// Random joins from several threads: what each thread was told adds up to a state in which no course has
/// too many students and no student too many courses; afterwards one by one, against a model.
#[test]
fn do_both_boundaries_hold() {
    let seed = Random::from_environment("enrolments").next();
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    for id in 0..30_u32 {
        let (most, places) = (id % 4, id % 6);
        let (key, name) = (u64::from(id), format!("number {id}"));
        let student = RegisterStudent { name: name.clone(), max_courses: most };
        engine.call::<Student>(key, student).expect("accepted");
        engine.call::<Course>(key, RegisterCourse { name, places }).expect("accepted");
    }
    let joined: Vec<(u64, u64)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let client = engine.client();
                scope.spawn(move || {
                    let mut random = Random::new(seed + number);
                    let mut joined = Vec::new();
                    for _ in 0..400 {
                        let (course, student) = (random.below(30), random.below(30));
                        match client.call::<Course>(course, JoinCourse { student }) {
                            Ok(_) => joined.push((course, student)),
                            Err(CommandError::Rejected { .. }) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    joined
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let (mut courses, mut students) = (BTreeMap::new(), BTreeMap::new());
    for (course, student) in &joined {
        assert!(courses.entry(*course).or_insert_with(BTreeSet::new).insert(*student), "once");
        students.entry(*student).or_insert_with(BTreeSet::new).insert(*course);
    }
    assert!(joined.len() > 20, "{}", joined.len());
    let of = |all: &BTreeMap<u64, BTreeSet<u64>>, key| all.get(&key).cloned().unwrap_or_default();
    for key in 0..30 {
        let seen = engine.ask::<Course, _>(key, |course| course.students.clone()).expect("asked");
        assert_eq!(seen, of(&courses, key), "course {key}");
        assert!(seen.len() <= (key % 6) as usize);
        let seen = engine.ask::<Student, _>(key, |student| student.courses.clone()).expect("asked");
        assert_eq!(seen, of(&students, key), "student {key}");
        assert!(seen.len() <= (key % 4) as usize);
    }
    let mut random = Random::new(seed);
    let mut told = BTreeSet::new();
    for _ in 0..500 {
        let (course, student) = (random.below(32), random.below(32));
        let expected = if course >= 30 {
            Some(Refused::NoSuchCourse)
        } else if student >= 30 {
            Some(Refused::NoSuchStudent)
        } else if of(&courses, course).contains(&student) {
            Some(Refused::JoinedAlready)
        } else if of(&students, student).len() >= (student % 4) as usize {
            Some(Refused::TooManyCourses)
        } else if of(&courses, course).len() >= (course % 6) as usize {
            Some(Refused::FullyBooked)
        } else {
            None
        };
        let refused = match engine.call::<Course>(course, JoinCourse { student }) {
            Ok(_) => {
                courses.entry(course).or_default().insert(student);
                students.entry(student).or_default().insert(course);
                None
            }
            Err(CommandError::Rejected { reason, .. }) => Some(reason),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(refused, expected, "course {course}, student {student}");
        told.extend(refused.map(|reason| reason.to_string()));
    }
    assert!(told.len() >= 4, "{told:?}");
    engine.close().expect("closed");
}

/// Two iterations: a fact for each command, and each join stands in both streams.
#[test]
fn does_each_command_of_the_speed_run_lead_to_one_fact() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    for number in 0..2 {
        iteration(
            number,
            |id, command| assert!(engine.call::<Student>(id, command).is_ok()),
            |id, command| assert!(engine.call::<Course>(id, command).is_ok()),
        );
    }
    let log = engine.log();
    assert_eq!(log.visible().0, Sequence::new(2 * COMMANDS));
    for category in ["student", "course"] {
        for id in 0..20_u64 {
            let name = StreamKey::new(category, id).expect("a name");
            assert_eq!(log.stream_version(&name), StreamVersion::new(11), "{name}");
        }
    }
    let mut cursor = log.cursor(Start::Sequence(Sequence::new(21))).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("one");
    assert_eq!(event.further_streams().expect("readable").len(), 1);
    drop(cursor);
    engine.close().expect("closed");
}
