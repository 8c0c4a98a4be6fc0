using Berth.Api.Runs;
using Berth.Server.Calls;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Options of runs that cannot be: each is refused by the header's name, its value and what would do, for
/// calls and tasks alike, and nothing has run.</summary>
public sealed class OptionTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    public static IEnumerable<TheoryDataRow<string, string, string>> Refused =>
    [
        new("Berth-Memroy", "64Mi", "Berth-Memory"),
        new("Berth-Memory", "much", "max-memory"),
        new("Berth-Memory", "4194303", "max-memory"),
        new("Berth-Memory", "65Gi", "max-memory"),
        new("Berth-Memory", "-1", "max-memory"),
        new("Berth-Cpus", "0", "max-cpus"),
        new("Berth-Cpus", "65", "max-cpus"),
        new("Berth-Cpus", "fast", "max-cpus"),
        new("Berth-Pids", "3", "max-pids"),
        new("Berth-Pids", "32769", "max-pids"),
        new("Berth-Pids", "1.5", "max-pids"),
        new("Berth-Disk", "1023Ki", "max-disk"),
        new("Berth-Disk", "65Gi", "max-disk"),
        new("Berth-Timeout", "0s", "10ms"),
        new("Berth-Timeout", "soon", "such as"),
        new("Berth-Timeout", "100d", "max-"),
        new("Berth-Output-Limit", "0", "1"),
        new("Berth-Output-Limit", "65Gi", "-limit"),
        new("Berth-Network", "bridge", "none, host, or the name"),
        new("Berth-User", "a b", "uid"),
        new("Berth-User", "2147483648", "2147483647"),
        new("Berth-User", "1:2:3", "uid:gid"),
        new("Berth-User", "-1", "uid"),
        new("Berth-Workdir", "here", "absolute"),
        new("Berth-Workdir", "/a/../b", ".."),
        new("Berth-Workdir", "/proc/self", "/proc"),
        new("Berth-Workdir", "/a%00b", "NUL"),
        new("Berth-Env", "A", "NAME=VALUE"),
        new("Berth-Env", "=1", "NAME=VALUE"),
        new("Berth-Env", "1A=1", "digit"),
        new("Berth-Env", "BERTH_X=1", "Berth's own"),
        new("Berth-Env", "A=1,A=2", "more than once"),
        new("Berth-Env", "A=%zz", "hexadecimal"),
        new("Berth-Env", "A=%ff", "UTF-8"),
        new("Berth-Env", "A=%00", "NUL"),
        new("Berth-Arg", "a%2", "hexadecimal"),
        new("Berth-Command", "%", "hexadecimal"),
        new("Berth-Label", "a", "NAME=VALUE"),
        new("Berth-Label", "-a=1", "letters"),
        new("Berth-Label", "a=1,a=2", "more than once"),
        new("Berth-Content-Type", "image", "media type"),
        new("Berth-Content-Type", "a/b/c", "media type"),
    ];

    public static IEnumerable<TheoryDataRow<string, string>> RefusedForTasks =>
    [
        new("Berth-Max-Age", "0s"),
        new("Berth-Max-Age", "31d"),
        new("Berth-Priority", "-101"),
        new("Berth-Priority", "101"),
        new("Berth-Priority", "high"),
        new("Berth-Attempts", "0"),
        new("Berth-Attempts", "101"),
        new("Berth-Retry-Failures", "yes"),
        new("Berth-Callback", "nowhere"),
    ];

    private ServerRig Rig => fixture.Rig;

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task An_option_that_cannot_be_is_refused(string header, string value, string told)
    {
        foreach (string route in new[] { "call", "tasks" })
        {
            using HttpResponseMessage response = await Rig.SendAsync(
                ServerRig.Call(route: route, headers: [(header, value)]));

            Problem problem = await response.ProblemAsync(400, "invalid_request");
            Assert.Contains(header, problem.Detail, StringComparison.Ordinal);
            Assert.Contains(told, problem.Detail, StringComparison.Ordinal);
        }

        await AssertNothingRanAsync();
    }

    [Theory]
    [MemberData(nameof(RefusedForTasks))]
    public async Task An_option_of_tasks_that_cannot_be_is_refused_and_calls_take_none_of_them(
        string header, string value)
    {
        using HttpResponseMessage task = await Rig.SendAsync(
            ServerRig.Call(route: "tasks", headers: [(header, value)]));
        using HttpResponseMessage call = await Rig.SendAsync(ServerRig.Call(headers: [(header, value)]));

        Assert.Contains(header, (await task.ProblemAsync(400, "invalid_request")).Detail, StringComparison.Ordinal);
        Problem problem = await call.ProblemAsync(400, "invalid_request");
        Assert.Contains("Prefer: respond-async", problem.Detail, StringComparison.Ordinal);
        await AssertNothingRanAsync();
    }

    [Fact]
    public async Task An_option_given_twice_is_refused_where_only_one_can_hold()
    {
        string[] several =
            ["Berth-Arg", "Berth-Command", "Berth-Env", "Berth-Label", "Berth-Constraint", "Berth-Tolerate"];
        foreach (string name in OptionHeaders.All.Except(several))
        {
            using HttpResponseMessage response = await Rig.SendAsync(
                ServerRig.Call(route: "tasks", headers: [(name, "1"), (name, "2")]));

            Problem problem = await response.ProblemAsync(400, "invalid_request");
            Assert.Contains(name, problem.Detail, StringComparison.OrdinalIgnoreCase);
        }

        await AssertNothingRanAsync();
    }

    [Fact]
    public async Task A_command_and_arguments_contradict_each_other()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["cat"], headers: [("Berth-Arg", "-n")]));

        Problem problem = await response.ProblemAsync(400, "invalid_request");
        Assert.Contains("Berth-Command", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("Berth-Arg", problem.Detail, StringComparison.Ordinal);
        await AssertNothingRanAsync();
    }

    [Fact]
    public async Task The_machines_network_is_the_operators_to_give()
    {
        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(headers: [("Berth-Network", "host")]));

        Problem problem = await response.ProblemAsync(403, "forbidden");
        Assert.Contains("allow-host-network", problem.Detail, StringComparison.Ordinal);
        await AssertNothingRanAsync();
    }

    [Theory]
    [InlineData("Berth-Arg", ProgramRules.MaxArguments)]
    [InlineData("Berth-Env", ProgramRules.MaxVariables)]
    [InlineData("Berth-Label", ProgramRules.MaxLabels)]
    public async Task There_are_at_most_so_many_of_an_option(string header, int most)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        using HttpResponseMessage tooMany = await rig.SendAsync(
            ServerRig.Call(headers: [(header, string.Join(',', Enumerable.Range(0, most + 1).Select(Value)))]));
        using HttpResponseMessage atLimit = await rig.SendAsync(
            ServerRig.Call(headers: [(header, string.Join(',', Enumerable.Range(0, most).Select(Value)))]));

        Problem problem = await tooMany.ProblemAsync(400, "invalid_request");
        Assert.Contains($"at most {most}", problem.Detail, StringComparison.Ordinal);
        Assert.Equal(200, (int)atLimit.StatusCode);
        Assert.Single(rig.Node.Started);

        string Value(int number) => header == "Berth-Arg" ? $"a{number}" : $"N{number}=v";
    }

    [Fact]
    public async Task Options_reach_the_sandbox_as_they_were_meant()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        using HttpResponseMessage response = await rig.SendAsync(ServerRig.Call(["echo", "a, b", "ü %"], headers:
        [
            ("Berth-Memory", "64Mi"), ("Berth-Cpus", "500m"), ("Berth-Pids", "7"), ("Berth-Disk", "2Mi"),
            ("Berth-User", "7:8"), ("Berth-Workdir", "/tmp/a%20b"), ("Berth-Env", "A=1%2C2, B="),
            ("Berth-Timeout", "5m"),
        ]));

        var spec = rig.Node.Started.Single();
        Assert.Equal("a, b ü %\n", await response.Content.ReadAsStringAsync());
        var limits = spec.Sandbox.Limits;
        Assert.Equal(
            (64L << 20, 500, 7, 2L << 20),
            (limits.Memory.Bytes, limits.Cpu.Millicores, limits.Pids, limits.WritableLayer.Bytes));
        Assert.Equal(("7:8", "/tmp/a b"), (spec.User, spec.WorkingDirectory));
        Assert.Equal(("1,2", ""), (spec.Environment["A"], spec.Environment["B"]));
    }

    private async Task AssertNothingRanAsync()
    {
        Assert.Empty(Rig.Node.Started);
        Assert.Empty((await Rig.RunsAsync("")).Runs);
    }
}
