use super::*;

fn program(folder: &tempfile::TempDir, script: &str) -> BeforeRegister {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec().try_into().unwrap();
    let environment = BTreeMap::from([
        ("PATH".to_owned(), Text::from("/usr/bin:/bin")),
        ("HERE".to_owned(), Text::from(folder.path().display().to_string())),
    ]);
    BeforeRegister::new(argv, environment, false, folder.path().join("before-register")).unwrap()
}

const LONG: Duration = Duration::from_secs(60);

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("within a minute");
}

async fn failed(script: &str, within: Duration) -> String {
    let folder = tempfile::tempdir().unwrap();
    match program(&folder, script).run(within).await {
        Prepared::Failed(why) => why,
        other @ (Prepared::Succeeded | Prepared::Unknown(_)) => panic!("{script}: {other:?}"),
    }
}

#[tokio::test]
async fn it_runs_once_a_boot_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"sleep 0.3; pwd >>"$HERE/ran"; echo "$SECRET" >>"$HERE/ran""#;
    // Two agents at the same moment, as when one has died with the start under way, and a third one later.
    let (first, second) = (program(&folder, script), program(&folder, script));
    let (one, two) = tokio::join!(first.run(LONG), second.run(LONG));
    assert_eq!((one, two), (Prepared::Succeeded, Prepared::Succeeded));
    assert_eq!(program(&folder, script).run(LONG).await, Prepared::Succeeded);
    assert_eq!(fs::read_to_string(folder.path().join("ran")).unwrap(), "/\n\n");
}

#[tokio::test]
async fn an_earlier_boot_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo ran >>"$HERE/ran""#;
    let earlier = BeforeRegister { boot: "earlier".into(), ..program(&folder, script) };
    assert_eq!(earlier.run(LONG).await, Prepared::Succeeded);
    assert_eq!(program(&folder, script).run(LONG).await, Prepared::Succeeded);
    assert_eq!(fs::read_to_string(folder.path().join("ran")).unwrap(), "ran\nran\n");
    assert!(!earlier.boot_folder().exists(), "what an earlier boot left is gone");
}

#[tokio::test]
async fn how_it_failed_is_told_without_its_words_and_these_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    // As `set -x` shows what an inline script does.
    let script = "set -x; curl_token=s3cret; echo $curl_token; mount() { echo mount: no such device; }; mount; exit 3";
    let shows = program(&folder, script);
    let told = shows.run(LONG).await;
    let Prepared::Failed(why) = told else { panic!("{told:?}") };
    assert!(why.starts_with("/bin/sh: exit status 3; its output is in /") && why.ends_with("/output"), "{why}");
    let kept = lightsout_io::log::recent().into_iter().map(|said| said.message).collect::<String>();
    assert!(
        !kept.contains("s3cret") && !kept.contains("no such device"),
        "a departure repeats the log's warnings: {kept}"
    );
    assert_eq!(shows.last_words(), "*** | mount: no such device");
    let why = failed("kill -9 $$", LONG).await;
    assert!(why.contains("exit status 137 (signal 9); its output"), "{why}");
    let folder = tempfile::tempdir().unwrap();
    let missing = BeforeRegister { argv: vec!["/no/such/program".into()].try_into().unwrap(), ..program(&folder, "") };
    let told = missing.run(LONG).await;
    assert!(matches!(&told, Prepared::Failed(why) if why.contains("exit status 127")), "{told:?}");
    assert_eq!(missing.run(LONG).await, told, "and is told again to whoever asks later");
}

#[tokio::test]
async fn its_time_is_up_so_long_after_its_own_start_and_all_of_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo begun; sleep 300 & echo $! >"$HERE/draft" && mv "$HERE/draft" "$HERE/child"; wait"#;
    let child = folder.path().join("child");
    // The agent that began it dies.
    let dies = program(&folder, script);
    tokio::select! {
        told = dies.run(LONG) => panic!("{told:?}"),
        () = until(|| child.exists()) => {}
    }
    // As one that runs since the machine was started, and half of that is its time.
    let next = program(&folder, script);
    let claim = fs::read_to_string(next.file("claim")).unwrap();
    let [pid, _, unit] = claim.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
    fs::write(next.file("claim"), format!("{pid} 0.00 {unit}\n")).unwrap();
    let within = (uptime() / 2).min(LONG);
    let told = tokio::time::timeout(within / 2, next.run(within)).await.expect("the time is its own, not its agent's");
    assert!(matches!(&told, Prepared::Failed(why) if why.contains("did not end within")), "{told:?}");
    let child: u32 = fs::read_to_string(child).unwrap().trim().parse().unwrap();
    // What it started ends with it.
    until(|| process::start_of_living(child).unwrap().is_none()).await;
    assert_eq!(next.run(within).await, told, "late stays late");
}

#[tokio::test]
async fn one_that_vanished_has_failed_and_its_number_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let gone = program(&folder, "exit 0");
    gone.make_folder().unwrap();
    fs::write(gone.file("claim"), format!("{} 1.00 -\n", std::process::id())).unwrap();
    let told = gone.run(LONG).await;
    assert!(matches!(&told, Prepared::Failed(why) if why.contains("it was killed")), "{told:?}");
}

#[tokio::test]
async fn what_it_says_is_bounded_and_the_end_of_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let script = "i=0; while [ $i -lt 30 ]; do head -c 100000 /dev/zero | tr '\\0' x; i=$((i+1)); done; echo; echo the end; exit 1";
    let noisy = program(&folder, script);
    let told = noisy.run(LONG).await;
    assert!(matches!(&told, Prepared::Failed(why) if why.contains("exit status 1;")), "{told:?}");
    let said = noisy.last_words();
    assert_eq!(said, "the end", "a line that has lost its beginning is none");
    assert!(fs::metadata(noisy.file("output")).unwrap().len() <= MOST_OUTPUT);
}
