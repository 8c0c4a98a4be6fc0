using System.Diagnostics;
using System.Text;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>How a program ended and what it wrote.</summary>
internal sealed record ToolResult(int ExitCode, byte[] Output, string Error)
{
    public string Text => Encoding.UTF8.GetString(Output);

    /// <summary>The output without its last line break; fails the test when the program failed.</summary>
    public string Succeed()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}: {Error}");
        return Text.TrimEnd('\n');
    }
}

/// <summary>Runs programs that nobody here wrote, and the executable under test.</summary>
internal static class Tool
{
    /// <summary>Longer than any of these takes on a busy machine; only ends what hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    /// <summary>
    /// Runs a program with input; a test is skipped (in CI failed) when the program is not installed.
    /// </summary>
    public static async Task<ToolResult> RunAsync(
        string name, IEnumerable<string> arguments, byte[
]? input = null, IReadOnlyDictionary<string, string>? environment = null)
    {
        using Process process = Start(name, arguments, environment);
        Task<string> error = process.StandardError.ReadToEndAsync();
        Task feed = FeedAsync(process, input ?? []);
        using MemoryStream output = new();
        using CancellationTokenSource limit = new(Patience);
        await process.StandardOutput.BaseStream.CopyToAsync(output, limit.Token);
        await process.WaitForExitAsync(limit.Token);
        await feed;
        return new ToolResult(process.ExitCode, output.ToArray(), await error);
    }

    public static Process Start(
        string name, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        ProcessStartInfo start = new(name)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        foreach ((string key, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[key] = value;
        }

        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip($"{name} is not installed: run eng/prerequisites.sh run test.");
            throw;
        }
    }

    private static async Task FeedAsync(Process process, byte[] input)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // A program may end without reading its input.
        }
    }
}
