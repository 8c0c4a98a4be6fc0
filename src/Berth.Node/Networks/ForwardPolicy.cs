using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>
/// Where other software drops what a machine forwards (Docker sets the policy of iptables' FORWARD chain to DROP), an
/// exception for networks' cables: one chain's accept does not undo another one's drop. Only there, and taken away at
/// the end; the own table decides what may pass as before.
/// </summary>
internal sealed class ForwardPolicy(string prefix, ReadinessPoller poller)
{
    private static readonly string[] Places = ["/usr/sbin/iptables", "/sbin/iptables", "/usr/bin/iptables"];

    private readonly string? tool = Places.FirstOrDefault(File.Exists);

    private string[][] Exceptions =>
    [
        ["-i", prefix + "+", "-j", "ACCEPT"],
        ["-o", prefix + "+", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"],
    ];

    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        if (tool is null || await PolicyAsync(cancellationToken) is not { IsDropping: true } policy)
        {
            return;
        }

        for (int i = 0; i < Exceptions.Length; i++)
        {
            if (!policy.Has[i])
            {
                await RunAsync(["-I", "FORWARD", .. Exceptions[i]], cancellationToken);
            }
        }
    }

    /// <summary>Also what a killed server left.</summary>
    public async Task RemoveAsync()
    {
        if (tool is null || await PolicyAsync(CancellationToken.None) is not { } policy)
        {
            return;
        }

        for (int i = 0; i < Exceptions.Length; i++)
        {
            if (policy.Has[i])
            {
                await RunAsync(["-D", "FORWARD", .. Exceptions[i]], CancellationToken.None);
            }
        }
    }

    /// <summary>Null where it can't be read: then there is nothing to except from.</summary>
    private async Task<(bool IsDropping, bool[] Has)?> PolicyAsync(CancellationToken cancellationToken)
    {
        (bool succeeded, string text) = await RunAsync(["-S", "FORWARD"], cancellationToken);
        string[] lines = text.Split('\n');
        return succeeded
            ? (lines.Contains("-P FORWARD DROP"),
                [lines.Any(l => l.Contains($"-i {prefix}+", StringComparison.Ordinal)),
                    lines.Any(l => l.Contains($"-o {prefix}+", StringComparison.Ordinal))])
            : null;
    }

    private async Task<(bool Succeeded, string Output)> RunAsync(
        string[] arguments, CancellationToken cancellationToken)
    {
        using Pipe output = Pipe.Create();
        using PidHandle program = Spawner.Start(
            new SpawnSpec(tool!, ["-w", "5", .. arguments], Descriptors: [null, output.WriteEnd, null]), poller);
        output.WriteEnd.Dispose();
        using StreamReader reader = new(new PipeReadStream(output.ReadEnd, poller));
        string text = await reader.ReadToEndAsync(cancellationToken);
        ProgramEnd? end = await program.Exited.WaitAsync(cancellationToken);
        return (end is { Succeeded: true }, text);
    }
}
