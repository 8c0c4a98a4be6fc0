using System.CommandLine;
using System.CommandLine.Parsing;

namespace Berth.Commands;

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
        : base("--quiet", "-q")
    {
        Description = description;
        Validators.Add(RefuseWithJson);
    }

    private static void RefuseWithJson(OptionResult quiet)
    {
        if (!quiet.Implicit && quiet.Parent is CommandResult command && command.Children.OfType<OptionResult>().Any(
            o => o.Option is OutputOption && o.Tokens is [{ Value: "json" }]))
        {
            quiet.AddError("--quiet and --output json can't be used together: choose one of them.");
        }
    }
}

/// <summary>The id of a run, as every command about a run takes it.</summary>
internal sealed class RunIdArgument : Argument<string>
{
    public RunIdArgument()
        : base("id") => Description = "Id of the run, as 'berth task ls' shows it";
}
