//! What the operating system says about this process, where it says it in `/proc`.

use std::fs;

/// Ticks of a processor's clock per second in `/proc/self/stat`: 100 on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Absent values are unknown on this system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) open_files: Option<u64>,
}

impl Process {
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let files = fs::read_dir("/proc/self/fd").ok();
        Self {
            resident_bytes: bytes(&status, "VmRSS:"),
            virtual_bytes: bytes(&status, "VmSize:"),
            cpu_seconds: cpu_seconds(&stat),
            open_files: files.map(|files| files.count() as u64),
        }
    }
}

fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

/// Fields 14 and 15; the second field is the program's name, which may hold anything but `)`.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_linux_are_understood() {
        let status = "Name:\tvitrine\nVmSize:\t  204800 kB\nVmRSS:\t   51200 kB\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(51_200 * 1_024));
        assert_eq!(bytes(status, "VmSize:"), Some(204_800 * 1_024));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 99 0 0 0 150 50 0 0 20 0 4 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn what_a_system_does_not_say_is_unknown() {
        assert_eq!(bytes("", "VmRSS:"), None);
        assert_eq!(cpu_seconds(""), None);
    }
}
