return await Berth.Cli.CommandLine.RunProcessAsync(args);
