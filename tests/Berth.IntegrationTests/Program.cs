using Berth.IntegrationTests.Archives;
using Berth.IntegrationTests.Nodes;

// The runner of these tests; and what a test wants a process of its own for.
return args switch
{
    [NodeOwner.Role, .. var rest] => await NodeOwner.RunAsync(rest),
    [HostileReader.Role, .. var rest] => await HostileReader.RunAsync(rest),
    _ => await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args),
};
