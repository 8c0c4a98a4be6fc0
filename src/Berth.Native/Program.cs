using Berth.Commands;
using Berth.Commands.Servers;
using Berth.Native;

return ServerPart.IsMeant(args)
    ? ServerPartProcess.Become()
    : await CommandLine.RunProcessAsync(ServerPart.Names(), args);
