using System.Net;
using System.Text;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary><c>berth run</c> against a server over the network: what the program writes to standard error.</summary>
public sealed class RunCommandTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task Standard_error_is_shown_while_the_program_runs_though_it_prints_nothing()
    {
        using CommandHarness harness = NewHarness();
        Task<int> running = harness.RunAsync(
            "run", "-l", "test=live", "--entrypoint", "sh", ServerRig.Image, "-c", "echo working >&2; sleep 600");

        await Eventually.HoldsAsync("standard error is shown", () => harness.Error == "working\n");
        string id = await Eventually.FindRunAsync(Rig, "test=live", run => run.State == "running");
        using HttpResponseMessage cancelled = await Rig.Client.PostAsync($"/v1/runs/{id}/cancel", null);

        Assert.Equal(130, await running);
        Assert.Equal(
            $"working\nberth: Run {id} was cancelled. ('berth why {id}' tells more)\n", harness.Error);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task All_of_it_is_shown_once_however_the_program_ends(int exitCode)
    {
        using CommandHarness harness = NewHarness();
        string line = new('x', 9000);

        int ended = await harness.RunAsync(
            "run", "--entrypoint", "sh", ServerRig.Image, "-c",
            $"echo {line} >&2; echo out; echo last >&2; exit {exitCode}");

        Assert.Equal((exitCode, "out\n"), (ended, harness.Output));
        Assert.StartsWith($"{line}\nlast\n", harness.Error, StringComparison.Ordinal);
        string after = harness.Error[(line.Length + 6)..];
        string explained = exitCode == 0 ? "" : "berth: demo/echo:1 exited with code 3. ('berth why ";
        Assert.StartsWith(explained, after, StringComparison.Ordinal);
        Assert.Equal(exitCode == 0 ? 0 : 1, after.Count(c => c == '\n'));
    }

    [Fact]
    public async Task Quietly_there_is_only_the_output_and_the_exit_code()
    {
        using CommandHarness harness = NewHarness();

        int ended = await harness.RunAsync(
            "run", "-q", "--entrypoint", "sh", ServerRig.Image, "-c", "echo bad >&2; echo out; exit 3");

        Assert.Equal((3, "out\n", ""), (ended, harness.Output, harness.Error));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task A_log_that_cannot_be_read_changes_nothing_about_the_run(int exitCode)
    {
        using CommandHarness harness = NewHarness(
            new LogFault(_ => new HttpResponseMessage(HttpStatusCode.BadGateway)));

        int ended = await harness.RunAsync(
            "run", "--entrypoint", "sh", ServerRig.Image, "-c", $"echo bad >&2; echo out; exit {exitCode}");

        Assert.Equal((exitCode, "out\n"), (ended, harness.Output));
        Assert.Contains("can't be shown: The server answered 502.", harness.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_log_that_breaks_off_is_read_again_and_nothing_is_shown_twice()
    {
        HttpResponseMessage torn = new() { Content = new StreamContent(new TornStream("fir")) };
        using CommandHarness harness = NewHarness(new LogFault(asked => asked == 1 ? torn : null));

        int ended = await harness.RunAsync(
            "run", "--entrypoint", "sh", ServerRig.Image, "-c", "echo first >&2; echo second >&2");

        Assert.Equal((0, "first\nsecond\n"), (ended, harness.Error));
    }

    private CommandHarness NewHarness(HttpMessageHandler? handler = null) => new()
    {
        Handler = handler,
        Variables = { ["BERTH_HOST"] = Rig.Address.ToString(), ["BERTH_TOKEN"] = Rig.AdminToken },
    };

    /// <summary>The network, but for what a test answers in the place of a log, told how often it was asked.</summary>
    private sealed class LogFault(Func<int, HttpResponseMessage?> answer)
        : DelegatingHandler(new SocketsHttpHandler { UseProxy = false })
    {
        private int asked;

        protected override async Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request, CancellationToken cancellationToken) =>
            (request.RequestUri!.AbsolutePath.EndsWith("/logs", StringComparison.Ordinal) ? answer(++asked) : null)
                ?? await base.SendAsync(request, cancellationToken);
    }

    /// <summary>A body that breaks off.</summary>
    private sealed class TornStream(string text) : MemoryStream(Encoding.UTF8.GetBytes(text))
    {
        public override async ValueTask<int> ReadAsync(
            Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int count = await base.ReadAsync(buffer, cancellationToken);
            return count > 0 ? count : throw new IOException("The connection broke.");
        }
    }
}
