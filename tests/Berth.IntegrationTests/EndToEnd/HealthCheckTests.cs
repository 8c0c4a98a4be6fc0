using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Berth.Core.Images;
using Berth.Testing.Registry;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The health check that an image brings along, as docker's HEALTHCHECK writes it.</summary>
[Collection("server")]
public sealed class HealthCheckTests(BusyboxFixture fixture) : IClassFixture<BusyboxFixture>
{
    private const string Repository = "demo/busybox";

    private ServerProcess Server => fixture.Server;

    [Fact]
    public async Task An_images_health_check_is_run_unless_it_is_said_otherwise()
    {
        await PushAsync("line", """{"Test":["CMD-SHELL","cat /ok"],"Interval":50000000,"Retries":2}""");
        await PushAsync("program", """{"Test":["CMD","/bin/cat","/ok"],"Interval":50000000}""");
        string[] program = ["sh", "-c", "echo > /ok; exec sleep 600"];
        await fixture.BerthAsync(["run", "-d", "--name", "bare", "--no-healthcheck", Repository + ":line", .. program]);
        await fixture.BerthAsync(["run", "-d", "--name", "line", Repository + ":line", .. program]);
        await fixture.BerthAsync(["run", "-d", "--name", "program", Repository + ":program", .. program]);
        await fixture.BerthAsync(
            "run", "-d", "--name", "other", "--health-cmd", "echo another", Repository + ":line", "sleep", "600");

        await BecomesAsync("line", "healthy");
        await BecomesAsync("program", "healthy");
        await BecomesAsync("other", "healthy");
        Assert.Contains("(healthy)", await fixture.BerthAsync("ps", "--filter", "name=line"), StringComparison.Ordinal);
        await fixture.BerthAsync("exec", "line", "rm", "/ok");
        await BecomesAsync("line", "unhealthy");

        JsonElement line = await fixture.InspectAsync("line");
        JsonElement bare = await fixture.InspectAsync("bare");
        Assert.Contains("/ok", LastOutput(line), StringComparison.Ordinal);
        Assert.Equal("another\n", LastOutput(await fixture.InspectAsync("other")));
        Assert.Equal("running", line.GetProperty("state").GetString());
        Assert.Equal("running", bare.GetProperty("state").GetString());
        Assert.False(bare.TryGetProperty("health", out _), bare.ToString());
        Assert.Contains(
            "(unhealthy)", await fixture.BerthAsync("ps", "--filter", "name=line"), StringComparison.Ordinal);
        Assert.DoesNotContain(
            "health", await fixture.BerthAsync("ps", "--filter", "name=bare"), StringComparison.Ordinal);
        await fixture.BerthAsync("rm", "-f", "bare", "line", "program", "other");
    }

    /// <summary>Busybox once more under another tag, with a health check in its configuration.</summary>
    private async Task PushAsync(string tag, string healthCheck)
    {
        JsonNode manifest = await ReadAsync("manifests/latest");
        JsonNode config = await ReadAsync($"blobs/{manifest["config"]!["digest"]!.GetValue<string>()}");
        config["config"]!["Healthcheck"] = JsonNode.Parse(healthCheck);
        byte[] content = Encoding.UTF8.GetBytes(config.ToJsonString());
        Digest digest = await Server.Http.PushBlobAsync(Repository, content);
        manifest["config"]!["digest"] = digest.Text;
        manifest["config"]!["size"] = content.Length;
        using HttpResponseMessage answer = await Server.Http.PutManifestAsync(
            Repository, tag, Encoding.UTF8.GetBytes(manifest.ToJsonString()));
        await RegistryMessages.ExpectAsync(HttpStatusCode.Created, answer);
    }

    private async Task<JsonNode> ReadAsync(string path) => JsonNode.Parse(
        await Server.Http.GetByteArrayAsync(new Uri($"/v2/{Repository}/{path}", UriKind.Relative)))!;

    private Task BecomesAsync(string name, string status) => Condition.HoldsAsync(
        $"{name} is {status}",
        async () => (await fixture.InspectAsync(name)).GetProperty("health").GetProperty("status").GetString()
            is var seen && seen == status ? null : seen);

    private static string LastOutput(JsonElement container) =>
        container.GetProperty("health").GetProperty("checks").EnumerateArray().Last().GetProperty("output")
            .GetString()!;
}
