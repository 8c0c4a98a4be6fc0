using System.Diagnostics;

namespace Berth.Testing.Functions;

/// <summary>The small HTTP server of service.c, made with the machine's C compiler.</summary>
public static class ServiceProgram
{
    /// <param name="source">Path of service.c.</param>
    /// <param name="target">The static executable to make.</param>
    public static void Compile(string source, string target)
    {
        ProcessStartInfo start = new("gcc") { RedirectStandardError = true, UseShellExecute = false };
        foreach (string argument in (string[])["-O2", "-static", "-w", source, "-o", target])
        {
            start.ArgumentList.Add(argument);
        }

        using Process compiler = Process.Start(start)!;
        string said = compiler.StandardError.ReadToEnd();
        compiler.WaitForExit();
        if (compiler.ExitCode != 0)
        {
            throw new InvalidOperationException($"gcc failed; eng/prerequisites.sh test installs it.\n{said}");
        }
    }
}
