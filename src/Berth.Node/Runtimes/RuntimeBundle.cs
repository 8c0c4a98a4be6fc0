using System.Text.Json;
using Berth.Core.Runs;
using Berth.Node.Engines;

namespace Berth.Node.Runtimes;

/// <summary>Writes the files that a runtime reads: the sandbox's config.json with its program, and process.json of a
/// further one. Pure but for the writing.</summary>
/// <param name="shape">What every sandbox has; its process is replaced.</param>
internal sealed class RuntimeBundle(RuntimeConfig shape)
{
    /// <summary>berth-init stands before the program, to hand on signals and to reap.</summary>
    public async Task WriteAsync(string folder, FoundProgram program, TerminalSize? terminal)
    {
        RuntimeConfig config = shape with
        {
            Process = Process(
                program,
                [ContainerShape.InitPath, "supervise", StartReport.PathInside, program.Path, .. program.Words],
                terminal),
            Mounts =
            [
                .. shape.Mounts,
                new(
                    StartReport.PathInside, "bind", StartReport.PathIn(folder),
                    ["bind", "rw", "nosuid", "nodev", "noexec"]),
            ],
            Linux = shape.Linux with { Seccomp = RuntimeSeccompRules.All },
        };
        await File.WriteAllBytesAsync(
            folder + "/config.json", JsonSerializer.SerializeToUtf8Bytes(config, RuntimeJson.Default.RuntimeConfig));
    }

    public async Task WriteFurtherAsync(string path, FoundProgram program, TerminalSize? terminal)
    {
        RuntimeProcess process = Process(program, [program.Path, .. program.Words.Skip(1)], terminal);
        await File.WriteAllBytesAsync(
            path, JsonSerializer.SerializeToUtf8Bytes(process, RuntimeJson.Default.RuntimeProcess));
    }

    private RuntimeProcess Process(FoundProgram program, IReadOnlyList<string> words, TerminalSize? terminal) =>
        shape.Process with
        {
            User = new RuntimeUser(program.User.User, program.User.Group, program.User.Groups),
            Args = words,
            Env = program.Environment,
            Cwd = program.Folder,
            Capabilities = CapabilitiesOf(program.User),
            Terminal = terminal is not null,
            ConsoleSize = terminal is { } size ? new RuntimeConsole(size.Rows, size.Columns) : null,
        };

    /// <summary>Who is not root has none, as after an execve of the kernel's.</summary>
    private static RuntimeCapabilities CapabilitiesOf(ProgramUser user) => user.User == 0
        ? new(ContainerShape.Capabilities, ContainerShape.Capabilities, ContainerShape.Capabilities)
        : new(ContainerShape.Capabilities, [], []);
}
