//! How much room another job needs: what the settings ask for, and whether there is so much.

use std::path::PathBuf;

const MIB: u64 = 1 << 20;

/// The least that must be free before another job is taken; where both are given, the smaller of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumFree {
    /// So much: bytes, or inodes.
    pub amount: Option<u64>,
    /// So many hundredths of all that there is.
    pub percent: Option<u8>,
}

impl MinimumFree {
    /// Half a gibibyte, or a twentieth of a smaller file system.
    pub const DISK: Self = Self { amount: Some(512 * MIB), percent: Some(5) };
    /// One in a hundred.
    pub const INODES: Self = Self { amount: None, percent: Some(1) };

    /// So much of this total.
    pub(crate) fn of(self, total: u64) -> u64 {
        let part = self.percent.map(|percent| total / 100 * u64::from(percent));
        self.amount.into_iter().chain(part).min().unwrap_or(0)
    }

    /// Reads `5%` or, where `sizes`, `512MiB`; else a number such as `10000`.
    pub fn parse(text: &str, sizes: bool) -> Option<Self> {
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim().parse().ok().filter(|percent| (1..=90).contains(percent))?;
            return Some(Self { amount: None, percent: Some(percent) });
        }
        let amount = if sizes { parse_size(text)? } else { text.parse().ok()? };
        (amount > 0).then_some(Self { amount: Some(amount), percent: None })
    }
}

/// Reads `512MiB`, `2GiB` or `1TiB`: a unit is needed, since a bare number would hide it.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = [("KiB", 1 << 10), ("MiB", MIB), ("GiB", 1 << 30), ("TiB", 1_u64 << 40)]
        .into_iter()
        .find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number.trim_end(), bytes)))?;
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Writes a size for people.
pub fn format_size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes / MIB),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// What must be free before another job is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceNeeds {
    /// Bytes in each file system that counts. `None`: whatever is free.
    pub disk: Option<MinimumFree>,
    /// Inodes in each of them.
    pub inodes: Option<MinimumFree>,
    /// Bytes of memory that a program can get without swapping.
    pub memory: Option<MinimumFree>,
}

impl Default for SpaceNeeds {
    fn default() -> Self {
        Self { disk: Some(MinimumFree::DISK), inodes: Some(MinimumFree::INODES), memory: None }
    }
}

/// What there is of something, and what of it is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// All of it. 0: it is not counted here.
    pub total: u64,
    /// What is free of it for whoever asks.
    pub free: u64,
}

/// What a look at the room for another job says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// There is enough.
    Enough,
    /// There is too little, and of what.
    Short(String),
    /// It cannot be told: a file system does not answer. That is no shortage.
    Unknown,
}

/// One file system that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// A folder in it.
    pub folder: PathBuf,
    /// Its bytes.
    pub bytes: Stock,
    /// Its inodes; some file systems do not count them.
    pub inodes: Stock,
}

impl SpaceNeeds {
    /// What there is too little of for another job, in words.
    pub fn shortage(&self, file_systems: &[FileSystem], memory: Option<Stock>) -> Option<String> {
        let short = |least: Option<MinimumFree>, stock: Stock| {
            let wanted = least?.of(stock.total);
            (stock.total > 0 && stock.free < wanted).then_some((stock.free, wanted))
        };
        for FileSystem { folder, bytes, inodes } in file_systems {
            let folder = folder.display();
            if let Some((free, wanted)) = short(self.disk, *bytes) {
                let (free, wanted) = (format_size(free), format_size(wanted));
                return Some(format!("{free} are free in {folder}, less than the {wanted} of agent.disk_free"));
            }
            if let Some((free, wanted)) = short(self.inodes, *inodes) {
                return Some(format!(
                    "{free} inodes are free in {folder}, less than the {wanted} of agent.inodes_free"
                ));
            }
        }
        let (free, wanted) = short(self.memory, memory?)?;
        let (free, wanted) = (format_size(free), format_size(wanted));
        Some(format!("{free} of memory are free, less than the {wanted} of agent.memory_free"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn disk(total: u64, free: u64) -> FileSystem {
        let inodes = Stock { total: 1_000, free: 500 };
        FileSystem { folder: "/data".into(), bytes: Stock { total, free }, inodes }
    }

    #[test]
    fn a_least_is_read() {
        let amount = |amount| Some(MinimumFree { amount: Some(amount), percent: None });
        assert_eq!(MinimumFree::parse("512MiB", true), amount(512 * MIB));
        assert_eq!(MinimumFree::parse("2 GiB", true), amount(2 * GIB));
        assert_eq!(MinimumFree::parse("10000", false), amount(10_000));
        assert_eq!(MinimumFree::parse("7%", true), Some(MinimumFree { amount: None, percent: Some(7) }));
        for wrong in ["", "512", "0MiB", "0%", "91%", "5GB", "-1GiB", "99999999999TiB", "many"] {
            assert_eq!(MinimumFree::parse(wrong, true), None, "{wrong}");
        }
        assert_eq!(MinimumFree::parse("1GiB", false), None, "inodes have no size");
    }

    #[test]
    fn the_default_suits_a_small_file_system_too() {
        let needs = SpaceNeeds::default();
        assert_eq!(needs.shortage(&[disk(100 * GIB, 513 * MIB), disk(GIB, 60 * MIB)], None), None);
        let short = needs.shortage(&[disk(GIB, 60 * MIB), disk(100 * GIB, 511 * MIB)], None).unwrap();
        assert_eq!(short, "511 MiB are free in /data, less than the 512 MiB of agent.disk_free");
        assert!(needs.shortage(&[disk(GIB, 50 * MIB)], None).is_some(), "a twentieth");
    }

    #[test]
    fn inodes_run_out_before_bytes_and_some_file_systems_have_none() {
        let mut full = disk(100 * GIB, 50 * GIB);
        full.inodes.free = 9;
        let short = SpaceNeeds::default().shortage(&[full.clone()], None).unwrap();
        assert_eq!(short, "9 inodes are free in /data, less than the 10 of agent.inodes_free");
        full.inodes = Stock::default();
        assert_eq!(SpaceNeeds::default().shortage(&[full], None), None);
    }

    #[test]
    fn memory_counts_where_it_is_asked_for() {
        let memory = Some(Stock { total: 8 * GIB, free: GIB / 2 });
        assert_eq!(SpaceNeeds::default().shortage(&[], memory), None);
        let needs = SpaceNeeds { memory: MinimumFree::parse("1GiB", true), ..SpaceNeeds::default() };
        let short = needs.shortage(&[], memory).unwrap();
        assert_eq!(short, "512 MiB of memory are free, less than the 1024 MiB of agent.memory_free");
    }

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!([0, 2 * MIB, 20 * GIB].map(format_size), ["0 KiB", "2 MiB", "20 GiB"]);
    }
}
