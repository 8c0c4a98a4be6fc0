using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>One server for a class of tests about containers, with <c>demo/busybox</c> in it. A test removes what it
/// made.</summary>
public sealed class BusyboxFixture : IAsyncLifetime
{
    internal ServerProcess Server { get; } = new();

    /// <summary>A folder of the machine that containers may have.</summary>
    internal string Shared => Path.Combine(Server.Folder, "shared");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Shared);
        await BusyboxServer.StartAsync(Server, "--mount-allow", Shared);
    }

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    /// <summary>What a command prints, without the last line break; it must succeed.</summary>
    internal async Task<string> BerthAsync(params string[] arguments) =>
        (await Server.BerthAsync(arguments)).Succeed();

    internal async Task<JsonElement> InspectAsync(string container) =>
        JsonDocument.Parse(await BerthAsync("inspect", container)).RootElement[0];
}
