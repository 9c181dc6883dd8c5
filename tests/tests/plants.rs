//! Do the planted bugs still fit the code that they are planted in?

use factlog_tests::plants::{Plant, root};

#[test]
fn does_every_plant_fit() {
    let root = root().expect("the repository");
    let mut misfits = Vec::new();
    let mut plants = 0;
    for folder in ["models", "plants", "power_cuts", "suites"] {
        let all = Plant::all(&root.join("tests").join(folder)).expect("plants");
        assert!(!all.is_empty(), "{folder}");
        plants += all.len();
        let not = all.into_iter().filter(|plant| !plant.fits(&root));
        misfits.extend(not.map(|plant| format!("{folder}/{}", plant.name)));
    }
    assert!(misfits.is_empty(), "their text is not there once: {misfits:?}");
    assert!(plants > 60, "{plants}");
}

#[test]
fn is_a_misfit_found() {
    let folder = factlog_tests::scratch();
    let text = "A bug.\nmodel: none\nfile: README.md\n<<<<\nno such line anywhere\n====\n>>>>\n";
    std::fs::write(folder.path().join("a.plant"), text).expect("written");
    let all = Plant::all(folder.path()).expect("one");
    assert!(!all[0].fits(&root().expect("the repository")));
}
