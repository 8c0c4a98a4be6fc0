using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Runs;

namespace Berth.IntegrationTests.Nodes;

/// <summary>What one run left: everything a test asks about it.</summary>
internal sealed record RunOutcome(AttemptReport Report, string Output, string Error);

/// <summary>Runs a program to its end and collects what it wrote.</summary>
internal static class SandboxRuns
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static AttemptSpec Spec(SandboxSpec sandbox, params string[] command)
    {
        var run = RunId.New(TimeProvider.System.GetUtcNow());
        return new AttemptSpec(
            run + "-1", run, 1, sandbox, command, null, new Dictionary<string, string>(), null, null,
            TimeSpan.FromMinutes(2), TimeSpan.FromMilliseconds(200));
    }

    public static AttemptSpec Within(this AttemptSpec spec, TimeSpan limit) => spec with { Timeout = limit };

    public static async Task<RunOutcome> RunAsync(this INode node, AttemptSpec spec, string input = "")
    {
        await using IAttempt attempt = await node.StartAsync(spec, CancellationToken.None);
        Task<string> output = ReadAsync(attempt.Output);
        Task<string> error = ReadAsync(attempt.Error);
        try
        {
            await attempt.Input.WriteAsync(Encoding.UTF8.GetBytes(input));
            await attempt.Input.DisposeAsync();
        }
        catch (IOException)
        {
            // The program didn't want it.
        }

        return new RunOutcome(await attempt.Completion.WaitAsync(Patience), await output, await error);
    }

    /// <summary>How the process is scheduled: field 41 of its stat (proc(5)), whose second has no space.</summary>
    public static string PolicyOf(string stat) => stat.Split(' ')[40];

    private static async Task<string> ReadAsync(Stream stream)
    {
        using var reader = new StreamReader(stream, Encoding.UTF8, leaveOpen: true);
        return await reader.ReadToEndAsync().WaitAsync(Patience);
    }
}
