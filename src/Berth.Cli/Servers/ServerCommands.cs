using System.CommandLine;

namespace Berth.Cli.Servers;

/// <summary>The commands that need more of Berth than its client.</summary>
internal static class ServerCommands
{
    public static IReadOnlyList<Command> All() =>
        [
            new ServeCommand(), new BackupCommand(), new RestoreCommand(), StoreCommands.All(), new DoctorCommand(),
            new ReferenceCommand(), new NodeJoinCommand(),
        ];
}
