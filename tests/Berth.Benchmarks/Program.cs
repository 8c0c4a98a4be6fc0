using Berth.Benchmarks.Cases;
using Berth.Benchmarks.Rigs;

// berth-bench CASE…|all [--berth PATH] [--work DIR] [--scale 0.1]: runs the cases in order and prints one table row a
// figure.
// The other modes are parts of cases that need a process of their own.
if (args is ["echo-server", var port])
{
    await EchoServer.RunAsync(int.Parse(port));
    return 0;
}

if (args is ["process-gateway", var gateway])
{
    await ProcessGateway.RunAsync(int.Parse(gateway));
    return 0;
}

if (args is ["bare-hop", var certificate, var hopPort])
{
    await BareHop.ServeAsync(certificate, int.Parse(hopPort));
    return 0;
}

if (args is ["net-sink", var sinkPort])
{
    await NetPipe.SinkAsync(int.Parse(sinkPort));
    return 0;
}

if (args is ["net-source", var address, var sourcePort, var seconds])
{
    NetPipe.Source(address, int.Parse(sourcePort), double.Parse(seconds));
    return 0;
}

BenchOptions? options = BenchOptions.Parse(args, BenchCases.All.Keys);
if (options is null)
{
    Console.Error.WriteLine($"Usage: bench.sh CASE… | all   with CASE one of: {string.Join(' ', BenchCases.All.Keys)}");
    return 64;
}

bool met = true;
foreach (string name in options.Cases)
{
    Console.WriteLine($"\n{name}: {BenchCases.All[name].Title}");
    foreach (Figure figure in await BenchCases.All[name].Run(options))
    {
        Console.WriteLine("  " + figure);
        met &= figure.Met;
    }
}

Console.WriteLine(met ? "\nEvery goal was met in this run." : "\nSome goals were not met in this run.");
return 0;
