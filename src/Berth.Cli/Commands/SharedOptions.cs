using System.CommandLine;

namespace Berth.Cli.Commands;

/// <summary><c>-o table|json</c>, for commands that print what they found.</summary>
internal sealed class OutputOption : Option<string>
{
    public OutputOption()
        : base("--output", "-o")
    {
        Description = "How to print it: table or json";
        HelpName = "table|json";
        DefaultValueFactory = _ => "table";
        AcceptOnlyFromAmong("table", "json");
    }
}

/// <summary><c>-q</c>: its meaning stands in the description of the command that has it.</summary>
internal sealed class QuietOption : Option<bool>
{
    public QuietOption(string description)
        : base("--quiet", "-q") => Description = description;
}

/// <summary>The id of a run, as every command about a run takes it.</summary>
internal sealed class RunIdArgument : Argument<string>
{
    public RunIdArgument()
        : base("id") => Description = "Id of the run, as 'berth task ls' shows it";
}
