using System.Diagnostics;

namespace Berth.Benchmarks.Rigs;

/// <summary>Runs other programs and times them.</summary>
internal static class Command
{
    /// <summary>Runs to the end; throws with its standard error when it fails.</summary>
    public static async Task<string> RunAsync(string file, params IEnumerable<string> arguments)
    {
        using Process process = Start(file, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0
            ? await output
            : throw new InvalidOperationException($"{file} {string.Join(' ', arguments)} "
                + $"ended with {process.ExitCode}: {error}");
    }

    public static async Task<TimeSpan> TimeAsync(string file, params IEnumerable<string> arguments)
    {
        long start = TimeProvider.System.GetTimestamp();
        await RunAsync(file, arguments);
        return TimeProvider.System.GetElapsedTime(start);
    }

    public static Process Start(string file, IEnumerable<string> arguments)
    {
        ProcessStartInfo info = new(file)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false
        };
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        return Process.Start(info) ?? throw new InvalidOperationException($"{file} did not start");
    }
}
