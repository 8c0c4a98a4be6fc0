using System.Diagnostics;

namespace Berth.Benchmarks.Rigs;

/// <summary>A node of its own process and data folder that has joined a server.</summary>
internal sealed class JoinedNode : IAsyncDisposable
{
    private readonly Process process;
    private readonly string data;

    private JoinedNode(Process process, string data)
    {
        this.process = process;
        this.data = data;
    }

    /// <summary>Returns once the server has a link to it.</summary>
    /// <param name="port">Of the server's <c>--node-listen</c>.</param>
    public static Task<JoinedNode> StartAsync(BerthRig rig, BenchOptions options, int port, string name) =>
        StartAsync(rig, options, $"127.0.0.1:{port}", name, space: null);

    /// <param name="address">Of the server's <c>--node-listen</c>.</param>
    /// <param name="space">Name of the network namespace that is its machine; null for this one.</param>
    public static async Task<JoinedNode> StartAsync(
        BerthRig rig, BenchOptions options, string address, string name, string? space)
    {
        string token = (await rig.CliAsync("node", "token", "create")).Trim();
        string data = Path.Combine(options.Work, $"node-{address.Replace(':', '-')}-{name}");
        string[] join =
            ["node", "join", $"https://{address}", "--token", token, "--name", name, "--data", data];
        Process process = space is null
            ? Command.Start(rig.Executable, join)
            : Command.Start("nsenter", [$"--net=/run/netns/{space}", "--", rig.Executable, .. join]);
        _ = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        JoinedNode node = new(process, data);
        try
        {
            // Not by its name alone: until it has joined there is none of that name.
            while (!(await rig.CliAsync("node", "ls")).Split('\n').Any(
                line => line.StartsWith(name, StringComparison.Ordinal)
                    && line.Contains(" ready ", StringComparison.Ordinal)))
            {
                await Task.Delay(50);
            }

            return node;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        using (Process.Start("kill", ["-TERM", $"{process.Id}"]))
        {
        }

        await process.WaitForExitAsync();
        process.Dispose();
        Directory.Delete(data, recursive: true);
    }
}
