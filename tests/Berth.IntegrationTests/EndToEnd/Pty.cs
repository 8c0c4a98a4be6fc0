using System.Diagnostics;
using System.Text;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A command line on a terminal of its own, by script(1) of Debian's essential packages.</summary>
internal sealed class Pty : IDisposable
{
    private readonly Process process;
    private readonly StringBuilder shown = new();
    private readonly Task reading;

    /// <param name="line">For the shell.</param>
    public Pty(string line, IReadOnlyDictionary<string, string> environment)
    {
        process = Tool.Start("script", ["-qefc", line, "/dev/null"], environment);
        reading = ReadAsync();
    }

    /// <summary>What the terminal was sent so far.</summary>
    public string Shown
    {
        get
        {
            lock (shown)
            {
                return shown.ToString();
            }
        }
    }

    public static async Task<(int ExitCode, string Shown)> RunAsync(
        string line, IReadOnlyDictionary<string, string> environment)
    {
        using Pty pty = new(line, environment);
        return (await pty.EndsAsync(), pty.Shown);
    }

    public Task ShowsAsync(string text) => Condition.HoldsAsync(
        $"the terminal shows '{text}'",
        () => Task.FromResult(Shown.Contains(text, StringComparison.Ordinal) ? null : Shown));

    /// <summary>What the keyboard's Ctrl-C sends; the terminal makes a signal of it.</summary>
    public void PressControlC() => Type("\u0003");

    /// <param name="keys">As a keyboard sends them: its Enter is '\r'.</param>
    public void Type(string keys)
    {
        process.StandardInput.Write(keys);
        process.StandardInput.Flush();
    }

    /// <summary>Waits for the end; returns the command's exit code.</summary>
    public async Task<int> EndsAsync()
    {
        await Condition.HoldsAsync(
            "the command has ended", () => Task.FromResult(process.HasExited ? null : Shown));
        await reading;
        return process.ExitCode;
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.Kill(entireProcessTree: true);
        }

        process.Dispose();
    }

    private async Task ReadAsync()
    {
        char[] block = new char[4096];
        int count;
        while ((count = await process.StandardOutput.ReadAsync(block)) > 0)
        {
            lock (shown)
            {
                shown.Append(block, 0, count);
            }
        }
    }
}
