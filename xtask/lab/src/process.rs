//! Children: how they are printed, started, waited for, and taken along when we end.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::signals;

const POLL: Duration = Duration::from_millis(30);

/// The command as a person would type it.
pub fn display(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        // PATH is long and says nothing that the reader needs.
        let value = value.filter(|_| name != "PATH")?;
        Some(format!(
            "{}={}",
            name.to_string_lossy(),
            quote(&value.to_string_lossy())
        ))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    variables
        .chain(words.map(|word| quote(&word.to_string_lossy())))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Lets the kernel send `signal` to the child when the thread that starts it ends, however it
/// ends. So only a thread that waits for the child may start it.
pub fn die_with_us(command: &mut Command, signal: i32) -> &mut Command {
    // SAFETY: between fork and exec the closure makes two system calls and touches no memory
    // that another thread could hold.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        })
    }
}

/// Prints the command, runs it with our own standard streams, and fails unless it exits with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed: {status}", display(command));
    }
    Ok(())
}

/// Prints the command, runs it with our own standard streams, and gives its status.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("$ {}", display(command));
    signals::check()?;
    let mut child = spawn(command)?;
    wait(&mut child, command)
}

/// Runs the command quietly and gives its standard output; its standard error is part of the
/// error if it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = output_any(command)?;
    if !output.status.success() {
        bail!(
            "`{}` failed: {}\n{}",
            display(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the command quietly and gives what it said, whether it failed or not.
pub fn output_any(command: &mut Command) -> Result<Output> {
    signals::check()?;
    command.stdin(Stdio::null());
    die_with_us(command, libc::SIGTERM)
        .output()
        .with_context(|| format!("cannot run `{}`", display(command)))
}

/// Starts a child that ends when we do.
pub fn spawn(command: &mut Command) -> Result<Child> {
    die_with_us(command, libc::SIGTERM)
        .spawn()
        .with_context(|| format!("cannot run `{}`", display(command)))
}

/// Waits for a child; kills it if a signal comes.
pub fn wait(child: &mut Child, command: &Command) -> Result<ExitStatus> {
    wait_while(child, command, || {})
}

/// The same, and does something meanwhile, again and again.
pub(crate) fn wait_while(
    child: &mut Child,
    command: &Command,
    mut meanwhile: impl FnMut(),
) -> Result<ExitStatus> {
    loop {
        meanwhile();
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            // A child that died of the same Ctrl-C has not failed by itself.
            signals::check()?;
            return Ok(status);
        }
        if let Some(signal) = signals::pending() {
            send(child, signal);
            // It has the time of a few polls to clean up.
            for _ in 0..100 {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    break;
                }
                thread::sleep(POLL);
            }
            send(child, libc::SIGKILL);
            // An error only if the child has just ended by itself.
            let _ = child.wait();
            bail!("`{}` was interrupted by signal {signal}", display(command));
        }
        thread::sleep(POLL);
    }
}

/// Waits for a child that answers signals itself (it detaches, drains and reports): passes each
/// of ours on once, unless the terminal has already sent it to the child too.
pub fn wait_politely(child: &mut Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(status);
        }
        if let Some((signal, from_terminal)) = signals::take()
            && !from_terminal
        {
            send(child, signal);
        }
        thread::sleep(POLL);
    }
}

/// To the child; to its whole process group where it leads one.
fn send(child: &Child, signal: i32) {
    let pid = child.id() as i32;
    // SAFETY: takes an integer; the child is not reaped, so the id is still its own.
    let leads = unsafe { libc::getpgid(pid) } == pid;
    // SAFETY: takes integers only; the same holds for the id of its group.
    unsafe { libc::kill(if leads { -pid } else { pid }, signal) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_printed_as_they_would_be_typed() {
        let mut command = Command::new("apt-get");
        command
            .env("PATH", "/a:/b")
            .env("LLVM_PREFIX", "/usr/lib/x y");
        command.args(["install", "-y", "it's"]);
        assert_eq!(
            display(&command),
            r"LLVM_PREFIX='/usr/lib/x y' apt-get install -y 'it'\''s'"
        );
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error =
            output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains("no luck"), "{text}");
    }
}
