using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Host user ids of sandboxes: never shared between servers, whatever their data folders are called.</summary>
[Collection("containers")]
public sealed class OwnerRangeTests
{
    [Fact]
    public async Task Two_servers_whose_names_point_to_the_same_window_have_different_users()
    {
        using BusyboxImages images = new(
            Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName);
        await using RuncEngine first = await StartAsync("0000beef");
        await using RuncEngine second = await StartAsync("1111beef");

        Assert.NotEqual(await OwnerAsync(first, images), await OwnerAsync(second, images));
    }

    private static async Task<RuncEngine> StartAsync(string instance)
    {
        RuncEngine engine = new(
            new NodeOptions("owners", instance), TimeProvider.System, NullLogger<RuncEngine>.Instance);
        await engine.StartAsync(CancellationToken.None);
        return engine;
    }

    /// <summary>This machine's id of the sandbox's root.</summary>
    private static async Task<string> OwnerAsync(RuncEngine engine, BusyboxImages images)
    {
        SandboxSpec spec = new(images.Plain, NodeFixture.Limits, NetworkMode.None);
        await using ISandbox sandbox = await engine.PrepareAsync(
            spec, await images.OpenAsync(images.Plain, CancellationToken.None), extras: null, CancellationToken.None);
        int init = Directory.EnumerateDirectories("/proc")
            .Select(d => int.TryParse(Path.GetFileName(d), out int pid) ? pid : 0)
            .First(pid => pid > 0 && In(pid, sandbox.Id));
        return File.ReadLines($"/proc/{init}/status").First(l => l.StartsWith("Uid:", StringComparison.Ordinal));
    }

    private static bool In(int pid, string sandbox)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cgroup").Contains(sandbox, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }
}
