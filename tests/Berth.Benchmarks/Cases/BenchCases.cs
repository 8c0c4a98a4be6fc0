using Berth.Benchmarks.Rigs;

namespace Berth.Benchmarks.Cases;

/// <summary>A case measures Berth beside a real alternative in one run and gives figures with their goals.</summary>
internal sealed record BenchCase(string Title, Func<BenchOptions, Task<IReadOnlyList<Figure>>> Run);

internal static class BenchCases
{
    public static IReadOnlyDictionary<string, BenchCase> All { get; } = new Dictionary<string, BenchCase>
    {
        ["ready"] = new("a fresh container prepared ahead, 1 KiB through cat, 10 a second (P1)", StartCases.ReadyAsync),
        ["cold"] = new("nothing prepared (P3)", StartCases.ColdAsync),
        ["rate"] = new("fresh containers a second through HTTP (P4)", StartCases.RateAsync),
        ["inner"] = new("fresh sandboxes within a container, a second and one by one (P5)", InnerCase.RunAsync),
        ["strict"] = new("a function's containers, at half the refill rate (P2)", StrictCase.RunAsync),
        ["reused"] = new("a process per call in a reused sandbox, 8 callers (P8)", ReusedCase.RunAsync),
        ["stream"] = new("1 GiB through cat, both ways (P20)", StreamCase.RunAsync),
        ["image"] = new("push, pull and unpack of an image until it can run (P19)", ImageCase.RunAsync),
        ["registry"] = new("1 GiB pushed and pulled beside docker-registry", RegistryCase.RunAsync),
        ["containers"] = new("many containers, listing them, and exec beside runc's", ContainerCase.RunAsync),
        ["overload"] = new("more calls than there is room for: what is served all the same", OverloadCase.RunAsync),
        ["service"] = new("an echo over HTTP through a reused instance (P6, P7, P21)", ServiceCase.RunAsync),
        ["functions"] = new("10,000 deployed functions, 100 of them called", FunctionsCase.RunAsync),
        ["burst"] = new("from none to 200 callers at once", BurstCase.RunAsync),
        ["drain"] = new("durable calls of a function that does nothing, worked off (P11)", DrainCase.RunAsync),
        ["network"] = new("what a network of its own adds to a cold start (P22)", NetworkCase.RunAsync),
        ["overlay"] = new("TCP between two nodes in a network, beside VXLAN by hand", OverlayCase.RunAsync),
        ["frozen"] = new("the first call of an instance that was frozen (P9)", FrozenCase.RunAsync),
        ["submit"] = new("durable submissions, 32 callers (P10)", SubmitCase.RunAsync),
        ["server"] = new("start-up and memory", ServerCase.RunAsync),
        ["phases"] = new("where the time of a call goes", PhaseCase.RunAsync),
        ["hop"] = new("a call on a node of another machine, beside a bare HTTP/2 hop", HopCase.RunAsync),
        ["planner"] = new("placements among 10,000 nodes", PlannerCase.RunAsync),
        ["tasks"] = new("tasks that do nothing, beside Celery, Dask and gearmand (P12, P13)", TasksCase.RunAsync),
        ["durable"] = new(
            "durable tasks through PostgreSQL with two servers (part of P12)", DurableCase.RunAsync),
        ["jobs"] = new("tasks in fresh containers, beside Docker Swarm's jobs (P14)", JobsCase.RunAsync),
        ["postgres"] = new("the store that servers share: two on one PostgreSQL (part of P12)", PostgresCase.RunAsync),
        ["store"] = new("the store alone: durable rows a second (part of P10)", StoreCase.RunAsync),
    };
}
