//! The symbols of a made-up kernel.

use super::*;

const SAMPLE: &str = "\
ffffffff81000000 T _text
ffffffff81207000 t copy_process.cold
ffffffff8135d6d0 T copy_process
ffffffff81365410 T release_task
ffffffff81365410 T release_task_alias
ffffffff81365a00 t __pfx_wait_consider_task
ffffffff81365a10 t wait_consider_task
ffffffff81370350 t ptrace_attach.isra.0
ffffffff82a0a080 D tasklist_lock
ffffffff82a0a0c0 D init_task
ffffffffc0100000 t release_task\t[other]
0000000000000000 A fixed_percpu_data
";

#[test]
fn functions_end_where_the_next_one_begins() {
    let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
    assert!(!kallsyms.hidden());
    assert_eq!(
        kallsyms.range_of("release_task"),
        Some(TextRange {
            start: 0xffff_ffff_8136_5410,
            length: 0x5f0,
        })
    );
    assert_eq!(kallsyms.bytes_of_object("tasklist_lock"), Some(0x40));
    assert_eq!(kallsyms.bytes_of_object("release_task"), None);
    assert_eq!(kallsyms.range_of("tasklist_lock"), None);
    assert_eq!(kallsyms.range_of("exit_notify"), None);
    let last = kallsyms.range_of("ptrace_attach.isra.0").unwrap();
    assert_eq!(last.length, LONGEST_FUNCTION);
}

#[test]
fn functions_are_found_as_reports_call_them() {
    let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
    let called = |name: &str| -> Vec<String> {
        let functions = kallsyms.functions_called(name).into_iter();
        functions.map(|(name, _)| name).collect()
    };
    assert_eq!(
        called("copy_process"),
        ["copy_process.cold", "copy_process"]
    );
    assert_eq!(called("copy_process.cold"), ["copy_process.cold"]);
    assert_eq!(called("ptrace_attach"), ["ptrace_attach.isra.0"]);
    // The kernel's own comes before a module's.
    assert_eq!(called("release_task"), ["release_task"]);
    assert_eq!(called("release_task [other]"), ["release_task [other]"]);
    assert_eq!(called("release_task_alias"), ["release_task"]);
    let none: [&str; 0] = [];
    assert_eq!(called("release_task [another]"), none);
    assert_eq!(called("tasklist_lock"), none);
    assert_eq!(called("ptrace_attach.isra.1"), none);
    let (_, range) = &kallsyms.functions_called("release_task")[0];
    assert_eq!(Some(*range), kallsyms.range_of("release_task"));
}

#[test]
fn names_lead_to_addresses_and_the_kernel_comes_before_modules() {
    let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
    assert_eq!(
        kallsyms.address_of("release_task"),
        Some(0xffff_ffff_8136_5410)
    );
    assert_eq!(
        kallsyms.address_of_object("tasklist_lock"),
        Some(0xffff_ffff_82a0_a080)
    );
    assert_eq!(kallsyms.address_of_object("release_task"), None);
    assert_eq!(kallsyms.address_of("fixed_percpu_data"), None);
    assert!(kallsyms.has("fixed_percpu_data"));
    assert!(!kallsyms.has("copy_process.isra.0"));
    assert!(kallsyms.has_function("release_task"));
    assert!(!kallsyms.has_function("tasklist_lock"));
    assert!(!kallsyms.has_function("ptrace_attach"));
    assert_eq!(
        kallsyms.variants_of("ptrace_attach"),
        ["ptrace_attach.isra.0"]
    );
}

#[test]
fn parts_made_by_the_compiler_belong_to_their_function() {
    let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
    let names: Vec<&str> = kallsyms
        .ranges_of_base("copy_process")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["copy_process.cold", "copy_process"]);
    // That of a module is another function.
    assert_eq!(kallsyms.ranges_of_base("release_task").len(), 1);
    assert!(kallsyms.ranges_of_base("tasklist_lock").is_empty());
}

#[test]
fn addresses_lead_to_the_first_name_and_an_offset() {
    let kallsyms = Kallsyms::parse(SAMPLE).unwrap();
    let resolve = |address| kallsyms.resolve(address);
    assert_eq!(resolve(0xffff_ffff_8136_5415), Some(("release_task", 5)));
    assert_eq!(resolve(0xffff_ffff_80ff_ffff), None);
    assert_eq!(resolve(0xffff_ffff_82a0_a080), None);
    assert_eq!(
        kallsyms.resolve_object(0xffff_ffff_82a0_a084),
        Some(("tasklist_lock", 4))
    );
    assert_eq!(kallsyms.resolve_object(0xffff_ffff_8136_5415), None);
}

#[test]
fn hidden_addresses_leave_the_names() {
    let text = "0000000000000000 T release_task\n0000000000000000 D tasklist_lock\n";
    let kallsyms = Kallsyms::parse(text).unwrap();
    assert!(kallsyms.hidden());
    assert!(kallsyms.has("tasklist_lock"));
    assert!(kallsyms.has_function("release_task"));
    assert!(kallsyms.has_objects());
    assert_eq!(kallsyms.address_of("release_task"), None);
    assert_eq!(kallsyms.range_of("release_task"), None);
    assert!(kallsyms.ranges_of_base("release_task").is_empty());
    assert_eq!(kallsyms.resolve(0xffff_ffff_8136_5415), None);
    assert_eq!(kallsyms.resolve(0), None);
}

#[test]
fn what_is_no_symbol_is_an_error_that_says_where() {
    let error = Kallsyms::parse("ffffffff81000000 T _text\nnonsense\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "/proc/kallsyms: line 2 is not `address type name [module]`: \"nonsense\""
    );
    assert!(Kallsyms::parse("").unwrap().hidden());
}

#[test]
fn objects_that_the_kernel_calls_functions_are_objects() {
    let text = "\
ffffffff81000000 T _stext
ffffffff81365410 T release_task
ffffffff81900000 T _etext
ffffffff82a06080 T tasklist_lock
ffffffff82a06140 t pidmap_lock
ffffffff83000000 T _sinittext
ffffffff83000100 t start_kernel
ffffffff83100000 T _einittext
ffffffffc0100000 t of_module\t[other]
";
    let kallsyms = Kallsyms::parse(text).unwrap();
    assert_eq!(
        kallsyms.address_of_object("tasklist_lock"),
        Some(0xffff_ffff_82a0_6080)
    );
    assert_eq!(kallsyms.range_of("tasklist_lock"), None);
    assert_eq!(
        kallsyms.resolve_object(0xffff_ffff_82a0_6140),
        Some(("pidmap_lock", 0))
    );
    assert!(kallsyms.has_objects());
    for function in ["release_task", "start_kernel", "of_module"] {
        assert!(kallsyms.range_of(function).is_some(), "{function}");
    }
    let hidden = Kallsyms::parse("0000000000000000 T tasklist_lock\n").unwrap();
    assert!(hidden.has_object("tasklist_lock"));
}

#[test]
fn objects_of_one_name_are_all_found() {
    let text = "\
ffffffff82a0a080 D tasklist_lock
ffffffff82a0a0c0 d lock
ffffffff82a0a0c0 d lock
ffffffff82b0a0c0 d lock
ffffffffc0100000 d lock\t[one]
ffffffffc0100000 d list_lock\t[one]
ffffffffc0200000 d list_lock\t[two]
ffffffffc0300000 d tasklist_lock\t[odd]
";
    let kallsyms = Kallsyms::parse(text).unwrap();
    for (name, addresses) in [
        // The kernel's own is told apart from a module's.
        ("tasklist_lock", &[0xffff_ffff_82a0_a080][..]),
        ("lock", &[0xffff_ffff_82a0_a0c0, 0xffff_ffff_82b0_a0c0]),
        ("list_lock", &[0xffff_ffff_c010_0000, 0xffff_ffff_c020_0000]),
        ("none", &[]),
    ] {
        assert_eq!(kallsyms.addresses_of_object(name), addresses, "{name}");
    }
}
