//! The child and all it started, as one group.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group,
    set_parent_process_death_signal, umask, waitid,
};

use super::{ProcessError, Spec, Status};
use crate::io::failpoint;

/// A child that leads a process group of its own. Dropped alive, it is killed with the group.
pub(super) struct Group {
    child: Child,
    id: Option<Pid>,
    reaped: bool,
}

impl Group {
    /// Starts `spec`: own group, no standard input, umask 0022 (rebuilt catalogues must be readable in the
    /// cluster), killed when we die.
    pub(super) fn start(spec: &Spec) -> Result<(Self, ChildStdout, ChildStderr), ProcessError> {
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .env_clear()
            .envs(&spec.env)
            .current_dir(&spec.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        die_with_us(&mut command);
        let mut child = failpoint::reach("start", &spec.program)
            .and_then(|()| spawn(&mut command))
            .map_err(|source| ProcessError::starting(spec, source))?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let group = Self {
            id: i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            child,
            reaped: false,
        };
        let (stdout, stderr) = pipes
            .ok_or_else(|| ProcessError::starting(spec, io::Error::other("it has no pipes")))?;
        Ok((group, stdout, stderr))
    }

    /// Sends `signal` to the whole group. A group that is gone is no error.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(id) = self.id.filter(|_| !self.reaped) {
            let _ = kill_process_group(id, signal);
        }
    }

    /// How it ended, if it has. What it left running in its group is killed first, while its id is still
    /// taken and can mean no one else.
    pub(super) fn ended(&mut self) -> io::Result<Option<Status>> {
        let Some(id) = self.id else {
            return self.reap().map(Some);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(id), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(Some(_)) => {
                self.signal(Signal::KILL);
                self.reap().map(Some)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn reap(&mut self) -> io::Result<Status> {
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Status::Exited(code),
            (None, signal) => Status::Killed(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.reap();
        }
    }
}

/// Spawns, and waits a moment for a program that someone still holds open for writing: it was just put there.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..20 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(50));
            }
            spawned => return spawned,
        }
    }
    command.spawn()
}

#[expect(
    unsafe_code,
    reason = "umask and the death signal can only be set between fork and exec; both are single system calls"
)]
fn die_with_us(command: &mut Command) {
    let parent = getpid();
    let prepare = move || {
        umask(Mode::from_raw_mode(0o022));
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have died before the line above.
        if getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::SRCH.raw_os_error(),
            ));
        }
        Ok(())
    };
    // SAFETY: the closure makes three system calls that are safe after fork; it neither allocates nor locks.
    unsafe {
        command.pre_exec(prepare);
    }
}
