using System.CommandLine;
using Berth.Api.Client;

namespace Berth.Commands.Runs;

/// <summary>The options that put volumes and folders into a program's files; tasks and functions share them.</summary>
internal sealed class MountOptions
{
    private readonly Option<string[]> volumes = Repeated(
        "--volume", ["-v"], "[NAME|FOLDER]:PATH[:ro]",
        "Put a named volume, or a folder of its machine, into its files; it runs where that is");

    private readonly Option<string[]> temporary = Repeated(
        "--tmpfs", [], "PATH[:size=SIZE]", "Put an empty folder in memory into its files");

    public void AddTo(Command command)
    {
        command.Add(volumes);
        command.Add(temporary);
    }

    public RunOptions Add(Session session, RunOptions options) => options with
    {
        Volumes = session.Get(volumes) ?? [],
        TemporaryFolders = session.Get(temporary) ?? [],
    };

    private static Option<string[]> Repeated(string name, string[] aliases, string value, string description) =>
        new(name, aliases)
        {
            HelpName = value,
            Description = description + " (repeatable)",
            AllowMultipleArgumentsPerToken = false,
        };
}
