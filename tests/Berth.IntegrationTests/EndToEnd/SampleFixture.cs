using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A server with the functions <c>pictures</c> and <c>ocr</c>, made by the commands of the guide's
/// page.</summary>
public sealed class SampleFixture : IAsyncLifetime
{
    internal ServerProcess Server { get; } = new();

    public async ValueTask InitializeAsync()
    {
        await Server.StartAsync();
        string root = ServerProcess.RepositoryRoot();
        string text = await File.ReadAllTextAsync(Path.Combine(root, "docs/guide/pictures.md"));
        string made = string.Concat(GuidePage.Parse("pictures", text).Steps
            .Select(s => s.Commands)
            .Where(c => c.Contains("mmdebstrap", StringComparison.Ordinal)
                || c.Contains("function deploy", StringComparison.Ordinal)));
        File.CreateSymbolicLink(Path.Combine(Server.Folder, "samples"), Path.Combine(root, "samples"));
        ToolResult result = await Tool.RunAsync(
            "bash", ["-euo", "pipefail", "-c", $"cd '{Server.Folder}'\n{made}"], [],
            new Dictionary<string, string>(Server.Variables)
            {
                ["PATH"] = DebianPackages.PathWith(Server.Folder),
            });
        Assert.True(result.ExitCode == 0, result.Text + result.Error);
    }

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    /// <summary>By GraphicsMagick, whose words <paramref name="arguments"/> are; the file's name comes last.</summary>
    internal async Task<byte[]> DrawAsync(string format, params string[] arguments)
    {
        string file = Path.Combine(Server.Folder, Path.GetRandomFileName());
        (await Tool.RunAsync("gm", ["convert", .. arguments, $"{format}:{file}"])).Succeed();
        return await File.ReadAllBytesAsync(file);
    }

    /// <summary>Format, width and height, and the color of some places as RRGGBB.</summary>
    internal async Task<string> LookAsync(byte[] picture, params (int X, int Y)[] places)
    {
        string file = Path.Combine(Server.Folder, Path.GetRandomFileName());
        await File.WriteAllBytesAsync(file, picture);
        string seen = (await Tool.RunAsync("gm", ["identify", "-format", "%m %wx%h", file])).Succeed();
        foreach ((int x, int y) in places)
        {
            byte[] color = (await Tool.RunAsync(
                "gm", ["convert", file, "-crop", $"1x1+{x}+{y}", "-depth", "8", "rgb:-"])).Output;
            seen += " " + Convert.ToHexString(color.AsSpan(0, 3));
        }

        return seen;
    }
}
