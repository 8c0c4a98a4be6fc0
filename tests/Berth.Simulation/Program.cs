using System.Globalization;
using Berth.Simulation.Sizes;

// The runner of these tests; and the replay of a day's calls on many nodes: size [share of the day] [more].
return args switch
{
    ["size", .. var rest] => SizeReport.Print(rest.Select(a => double.Parse(a, CultureInfo.InvariantCulture))),
    _ => await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args),
};
