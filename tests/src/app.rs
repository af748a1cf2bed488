//! The app of a pod: any program that listens on plain ports.

/// A program to start in a pod, with its arguments.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

impl App {
    /// The program built in this workspace under this name.
    #[must_use]
    pub fn new(program: &str) -> Self {
        Self { program: program.to_owned(), arguments: Vec::new() }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}
