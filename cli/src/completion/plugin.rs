//! What kubectl asks a plugin for: it runs `kubectl_complete-NAME` with the arguments so far, the last of which is to be completed,
//! and reads a candidate a line and a directive.

use clap::{Arg, Command};

/// The name under which kubectl runs the program for candidates.
pub(crate) const NAME: &str = "kubectl_complete-shekara";

/// That the shell is not to offer files besides (cobra's ShellCompDirectiveNoFileComp).
const NO_FILES: &str = ":4";
/// That it is to do as it is used to (ShellCompDirectiveDefault).
const AS_USUAL: &str = ":0";

/// The candidates for the last of the arguments, and the directive, as kubectl reads them.
pub(crate) fn candidates(program: &Command, arguments: &[String]) -> String {
    let Some((last, before)) = arguments.split_last() else { return format!("{NO_FILES}\n") };
    let mut command = program;
    let mut option: Option<&Arg> = None;
    for argument in before {
        option = if option.is_some() { None } else { command.get_arguments().find(|known| takes_value(known, argument)) };
        command = command.find_subcommand(argument).filter(|_| option.is_none()).unwrap_or(command);
    }
    let found: Vec<(String, String)> = match option {
        Some(option) => values(option),
        None if last.starts_with('-') => command.get_arguments().filter_map(flag).collect(),
        None if command.has_subcommands() => command.get_subcommands().map(subcommand).collect(),
        None => command.get_positionals().flat_map(values).collect(),
    };
    let files = found.is_empty() && option.is_some();
    let lines = found.into_iter().filter(|(name, _)| name.starts_with(last.as_str()));
    let lines: String = lines.map(|(name, about)| format!("{name}\t{about}\n")).collect();
    format!("{lines}{}\n", if files { AS_USUAL } else { NO_FILES })
}

fn takes_value(known: &Arg, argument: &str) -> bool {
    let long = known.get_long().is_some_and(|long| argument.strip_prefix("--") == Some(long));
    let short = known.get_short().is_some_and(|short| argument == format!("-{short}"));
    (long || short) && known.get_action().takes_values()
}

fn subcommand(command: &Command) -> (String, String) {
    (command.get_name().to_owned(), command.get_about().map(ToString::to_string).unwrap_or_default())
}

fn flag(known: &Arg) -> Option<(String, String)> {
    let help = known.get_help().map(ToString::to_string).unwrap_or_default();
    known.get_long().map(|long| (format!("--{long}"), help))
}

fn values(known: &Arg) -> Vec<(String, String)> {
    let described = |value: clap::builder::PossibleValue| {
        (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default())
    };
    known.get_possible_values().into_iter().map(described).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["s"], &["status", "simulate"], NO_FILES)]
    #[case(&["geo", ""], &["build", "lookup"], NO_FILES)]
    #[case(&["status", "-n", "cameras", "-o", "j"], &["json"], NO_FILES)]
    #[case(&["simulate", "pod/x", "a:1", "--protocol", ""], &["TLS", "HTTP", "TCP", "UDP"], NO_FILES)]
    #[case(&["simulate", "--clu"], &["--cluster-network"], NO_FILES)]
    #[case(&["completion", ""], &["bash", "zsh", "fish"], NO_FILES)]
    #[case(&["status", "--from", "x"], &[], AS_USUAL)]
    #[case(&["status", ""], &[], NO_FILES)]
    #[case(&[], &[], NO_FILES)]
    fn kubectl_is_given_candidates(#[case] arguments: &[&str], #[case] expected: &[&str], #[case] directive: &str) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let text = candidates(&crate::Arguments::command(), &arguments);
        let names: Vec<&str> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(names, [expected, &[directive]].concat());
    }
}
