using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>Debian's docker-registry (distribution 2.8), which is older than subjects and referrers.</summary>
internal sealed class OlderRegistry(Process process, int port) : IAsyncDisposable
{
    public string Host => $"127.0.0.1:{port}";

    public HttpClient Http { get; } = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}") };

    public static async Task<OlderRegistry> StartAsync(string folder)
    {
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        int port = ((IPEndPoint)probe.LocalEndpoint).Port;
        probe.Stop();
        Directory.CreateDirectory(folder);
        string settings = Path.Combine(folder, "config.yml");
        await File.WriteAllTextAsync(
            settings,
            $"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            + $"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            TestContext.Current.CancellationToken);
        OlderRegistry registry = new(EndToEnd.Tool.Start("docker-registry", ["serve", settings]), port);
        await Condition.HoldsAsync("docker-registry answers", registry.AnswersAsync);
        return registry;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    private async Task<string?> AnswersAsync()
    {
        Assert.False(process.HasExited, "docker-registry ended.");
        try
        {
            using HttpResponseMessage answer = await Http.GetAsync(
                new Uri("/v2/", UriKind.Relative), TestContext.Current.CancellationToken);
            return answer.IsSuccessStatusCode ? null : $"status {(int)answer.StatusCode}";
        }
        catch (HttpRequestException e)
        {
            return e.Message;
        }
    }
}
