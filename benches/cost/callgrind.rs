//! What callgrind wrote: the costs of one thread between two dumps.
//!
//! The format is described in the manual of valgrind ("Callgrind Format Specification"): names are written once and
//! are numbers from then on; a line of costs belongs to the function named last, unless `calls=` stood before it.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};

/// The functions by which memory is had, of the C library and of allocators that stand in for it.
const ALLOCATORS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "_rjem_malloc",
    "_rjem_calloc",
    "_rjem_realloc",
    "_rjem_mallocx",
    "_rjem_rallocx",
    "mi_malloc",
    "mi_zalloc",
    "mi_realloc",
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
];

/// The function of the C library that reads a clock, but for the version at its end.
const CLOCK: &str = "clock_gettime";

/// What one function cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Instructions of its own.
    pub(crate) own: u64,
    /// Instructions of its own and of all it called.
    pub(crate) inclusive: u64,
    /// How often it was called.
    pub(crate) calls: u64,
}

/// The costs of one thread.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    /// Instructions in all.
    pub(crate) instructions: u64,
    /// What the kernel was seen to be asked for. Under valgrind a reading of the clock is among it, which natively the
    /// kernel's page in the process answers.
    asked_of_kernel: u64,
    /// By function; one that was told apart by its callers has them in its name, nearest first, after a `'` each.
    pub(crate) functions: HashMap<Rc<str>, Cost>,
    /// How often the first called the second.
    pub(crate) calls: HashMap<(Rc<str>, Rc<str>), u64>,
    /// Instructions by the source file of the line, wherever it was inlined to.
    pub(crate) files: HashMap<Rc<str>, u64>,
}

impl Profile {
    /// Reads a dump.
    ///
    /// # Errors
    /// When it cannot be read, or is no dump with instructions and system calls in it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let text = String::from_utf8_lossy(&text);
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader::default();
        for (number, line) in text.lines().enumerate() {
            reader.line(line).with_context(|| format!("line {}", number + 1))?;
        }
        ensure!(reader.events, "no events were named");
        Ok(reader.profile)
    }

    /// How often a clock was read.
    pub(crate) fn clock_readings(&self) -> u64 {
        let readings = self.calls.iter().filter(|((_, callee), _)| callee.starts_with(CLOCK));
        readings.map(|(_, count)| count).sum()
    }

    /// System calls that natively are ones.
    pub(crate) fn system_calls(&self) -> u64 {
        self.asked_of_kernel.saturating_sub(self.clock_readings())
    }

    /// How often memory was asked for.
    pub(crate) fn allocations(&self) -> u64 {
        self.allocation_sites().map(|(_, _, count)| count).sum()
    }

    /// Who asked for memory, by which function, and how often.
    pub(crate) fn allocation_sites(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let asks = |caller: &str, callee: &str| is_allocator(callee) && !is_allocator(caller);
        let sites = self.calls.iter().filter(move |((caller, callee), _)| asks(caller, callee));
        sites.map(|((caller, callee), count)| {
            let (function, callers) = callee.split_once('\'').unwrap_or((callee, caller));
            (function, callers, *count)
        })
    }
}

/// A function without the callers by which it was told apart.
pub(crate) fn without_callers(name: &str) -> &str {
    name.split('\'').next().unwrap_or(name)
}

fn is_allocator(name: &str) -> bool {
    ALLOCATORS.contains(&without_callers(name))
}

/// Names that were written once, by their number.
type Names = HashMap<u64, Rc<str>>;

/// Where in a dump we are.
#[derive(Default)]
struct Reader {
    profile: Profile,
    /// Whether the columns were named.
    events: bool,
    functions: Names,
    files: Names,
    function: Option<Rc<str>>,
    file: Option<Rc<str>>,
    callee: Option<Rc<str>>,
    /// The next line of costs is that of so many calls.
    called: Option<u64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            return self.costs(line);
        }
        let Some((key, value)) = line.split_once(['=', ':']) else { return Ok(()) };
        match key {
            "events" => self.columns(value)?,
            "fn" => self.function = Some(name(&mut self.functions, value)?),
            "cfn" => self.callee = Some(name(&mut self.functions, value)?),
            "fl" | "fi" | "fe" => self.file = Some(name(&mut self.files, value)?),
            // Written for the calls, and perhaps for the first time.
            "cfl" | "cfi" => drop(name(&mut self.files, value)?),
            "calls" => self.called = Some(number(value.split(' ').next())?),
            // The header, and objects, which nobody asks for.
            _ => {}
        }
        Ok(())
    }

    fn columns(&mut self, value: &str) -> Result<()> {
        let columns: Vec<&str> = value.split_whitespace().collect();
        ensure!(columns.starts_with(&["Ir", "sysCount"]), "unknown events: {value}");
        self.events = true;
        Ok(())
    }

    /// The position, the instructions, the system calls; zeros at the end of a line are left out.
    fn costs(&mut self, line: &str) -> Result<()> {
        let mut columns = line.split(' ').skip(1);
        let instructions = columns.next().map_or(Ok(0), |column| number(Some(column)))?;
        let system_calls = columns.next().map_or(Ok(0), |column| number(Some(column)))?;
        let Some(function) = self.function.clone() else { bail!("costs of no function") };
        match self.called.take() {
            Some(count) => self.call(&function, count, instructions),
            None => {
                self.profile.instructions += instructions;
                self.profile.asked_of_kernel += system_calls;
                let cost = self.profile.functions.entry(function).or_default();
                cost.own += instructions;
                cost.inclusive += instructions;
                if let Some(file) = self.file.clone() {
                    *self.profile.files.entry(file).or_default() += instructions;
                }
                Ok(())
            }
        }
    }

    fn call(&mut self, caller: &Rc<str>, count: u64, instructions: u64) -> Result<()> {
        let Some(callee) = self.callee.clone() else { bail!("a call of nobody") };
        self.profile.functions.entry(callee.clone()).or_default().calls += count;
        // What calls itself has its own costs already.
        if without_callers(caller) != without_callers(&callee) {
            self.profile.functions.entry(caller.clone()).or_default().inclusive += instructions;
        }
        *self.profile.calls.entry((caller.clone(), callee)).or_default() += count;
        Ok(())
    }
}

/// `(12) name`, or `(12)` for one that was named before.
fn name(names: &mut Names, value: &str) -> Result<Rc<str>> {
    let rest = value.strip_prefix('(').context("a name without a number")?;
    let (id, text) = rest.split_once(')').context("a number that does not end")?;
    let id = number(Some(id))?;
    match text.strip_prefix(' ') {
        Some(text) => {
            let text: Rc<str> = text.into();
            names.insert(id, text.clone());
            Ok(text)
        }
        None => names.get(&id).cloned().with_context(|| format!("{id} was never named")),
    }
}

fn number(text: Option<&str>) -> Result<u64> {
    let text = text.unwrap_or_default();
    text.parse().with_context(|| format!("not a number: {text:?}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DUMP: &str = "\
# callgrind format
events: Ir sysCount sysTime
summary: 157 2 9

ob=(1) /bin/program
fl=(1) /src/a.rs
fn=(1) a::serve
10 7
fi=(2) /src/inlined.rs
+3 20
fe=(1)
-3 30 2 9
cfi=(3) malloc.c
cfn=(2) malloc'a::serve'main
calls=4 100
* 100
fn=(3) b::other
cfn=(2)
calls=1 100
5 3

fl=(3)
fn=(2)
1 100
totals: 157 2 9
";

    #[test]
    fn own_and_inclusive_costs() {
        let profile = Profile::parse(DUMP).unwrap();
        assert_eq!((profile.instructions, profile.system_calls()), (157, 2));
        let serve = profile.functions["a::serve"];
        assert_eq!((serve.own, serve.inclusive, serve.calls), (57, 157, 0));
        assert_eq!(profile.functions["malloc'a::serve'main"].calls, 5);
        assert_eq!(profile.files["/src/inlined.rs"], 20);
        assert_eq!(profile.files["malloc.c"], 100);
    }

    #[test]
    fn allocations_with_their_callers() {
        let profile = Profile::parse(DUMP).unwrap();
        assert_eq!(profile.allocations(), 5);
        let mut sites: Vec<_> = profile.allocation_sites().collect();
        sites.sort_unstable();
        assert_eq!(sites, [("malloc", "a::serve'main", 1), ("malloc", "a::serve'main", 4)]);
    }

    #[test]
    fn a_clock_is_read_without_the_kernel() {
        let reading = "fn=(4) now\ncfn=(5) clock_gettime@@GLIBC_2.17\ncalls=1 100\n5 3\n";
        let profile = Profile::parse(&(DUMP.to_owned() + reading)).unwrap();
        assert_eq!((profile.clock_readings(), profile.system_calls()), (1, 1));
    }

    #[test]
    fn an_allocator_that_calls_another_asked_once() {
        let nested = DUMP.replace("b::other", "realloc");
        assert_eq!(Profile::parse(&nested).unwrap().allocations(), 4);
    }

    #[test]
    fn what_is_no_dump() {
        let check = |text: &str, says: &str| {
            let error = format!("{:#}", Profile::parse(text).unwrap_err());
            assert!(error.contains(says), "{error}");
        };
        check("", "no events");
        check("events: Dr\n", "unknown events");
        check("events: Ir sysCount\n1 2\n", "costs of no function");
        check("events: Ir sysCount\nfn=(1)\n", "never named");
        check("events: Ir sysCount\nfn=(1) a\ncalls=1 1\n1 2\n", "a call of nobody");
        check("events: Ir sysCount\nfn=(1) a\n1 many\n", "not a number");
    }
}
