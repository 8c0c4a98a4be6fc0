using System.Diagnostics;

namespace Berth.Testing.Programs;

/// <summary>Programs in C for images that hold nothing else, made with the machine's compiler.</summary>
public static class StaticProgram
{
    /// <param name="source">Path of the source.</param>
    /// <param name="target">The static executable to make.</param>
    public static void Compile(string source, string target)
    {
        ProcessStartInfo start = new("gcc") { RedirectStandardError = true, UseShellExecute = false };
        foreach (string argument in (string[])["-O1", "-static", "-w", source, "-o", target])
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
