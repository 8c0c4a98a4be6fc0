using System.ComponentModel;
using System.Diagnostics;
using Berth.Api.Nodes;

namespace Berth.Cli.Machines;

/// <summary>Looks at OCI runtimes that runs may choose beside runc: whether each is there, and what it is.</summary>
internal static class RuntimeCheck
{
    public static async Task<IReadOnlyList<Finding>> JudgeAsync(
        IReadOnlyList<RegisteredRuntime> runtimes, CancellationToken cancellationToken)
    {
        List<Finding> findings = [];
        foreach (RegisteredRuntime runtime in runtimes)
        {
            findings.Add(Judge(runtime, await VersionAsync(runtime.Path, cancellationToken)));
        }

        return findings;
    }

    /// <param name="version">First line of its answer to --version; null when it could not be run.</param>
    public static Finding Judge(RegisteredRuntime runtime, string? version)
    {
        string name = "runtime " + runtime.Name;
        return version switch
        {
            null => new(
                name, FindingState.Missing, $"{runtime.Path} can't be run",
                "install it, or correct the setting 'runtime': the server does not start with it"),
            _ when runtime.IgnoresCgroups => new(
                name, FindingState.Ok,
                $"{version}; it makes no control groups, so Berth does, and a sandbox's limits count its own memory "
                + "and threads too"),
            _ => new(name, FindingState.Ok, version),
        };
    }

    private static async Task<string?> VersionAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            ProcessStartInfo start = new(path) { RedirectStandardOutput = true, UseShellExecute = false };
            start.ArgumentList.Add("--version");
            using Process process = Process.Start(start)!;
            string text = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return process.ExitCode == 0 && text.Length > 0 ? text.Split('\n')[0].Trim() : null;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }
}
