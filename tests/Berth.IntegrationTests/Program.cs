using Berth.IntegrationTests.Nodes;

// The runner of these tests; and, for tests that kill the owner of sandboxes, that owner.
return args is [NodeOwner.Role, .. var rest]
    ? await NodeOwner.RunAsync(rest)
    : await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
