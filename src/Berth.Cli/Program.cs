using Berth.Cli.Servers;
using Berth.Commands;

return await CommandLine.RunProcessAsync(ServerCommands.All(), args);
