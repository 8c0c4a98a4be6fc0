using System.Text;

namespace Berth.Init.Files;

/// <summary>
/// Reads and writes the sandbox's files for those outside, as any program in it could: what a path leads to is decided
/// in here. Told by its arguments what to do; exit code 2 and a sentence where the path is not what it must be.
/// </summary>
internal static class FileTool
{
    private const int Refused = 2;
    private const int Misused = 64;

    public static int Run(ReadOnlySpan<string> args)
    {
        try
        {
            switch (args)
            {
                case ["stat", var path]:
                    using (Stream output = Output())
                    {
                        output.Write(Encoding.UTF8.GetBytes(PathDescription.Of(path)));
                    }

                    return 0;
                case ["read", var path]:
                    using (Stream output = Output())
                    {
                        new TreeReader(output).Read(path);
                    }

                    return 0;
                case ["write", var folder]:
                    using (Stream input = Input())
                    {
                        TreeWriter.Write(input, folder);
                    }

                    return 0;
                default:
                    return Complain("It takes 'stat', 'read' or 'write' and a path.", Misused);
            }
        }
        catch (FileToolException refusal)
        {
            return Complain(refusal.Message, Refused);
        }
        catch (UnauthorizedAccessException)
        {
            return Complain("The sandbox may not do that there: is the place read-only?", Refused);
        }
        catch (InvalidDataException)
        {
            return Complain("What came is not a tar archive, or it is damaged.", Refused);
        }
        catch (EndOfStreamException)
        {
            return Complain("The archive ends in the middle.", Refused);
        }
        catch (IOException error)
        {
            return Complain(Reason.Of(error), Refused);
        }
    }

    private static FileStream Output() => new(new(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);

    private static FileStream Input() => new(new(0, ownsHandle: false), FileAccess.Read, bufferSize: 0);

    private static int Complain(string text, int exitCode)
    {
        using FileStream error = new(new(2, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        error.Write(Encoding.UTF8.GetBytes(text + "\n"));
        return exitCode;
    }
}

internal sealed class FileToolException(string message) : Exception(message);

/// <summary>What the kernel said, in words: this program carries no messages of its own libraries.</summary>
internal static class Reason
{
    private const int NoSpace = 28;
    private const int ReadOnly = 30;

    public static string Of(IOException error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "There is no such file or folder.",
        _ => (error.HResult & 0xFFFF) switch
        {
            NoSpace => "The container's disk is full: give it more with --disk.",
            ReadOnly => "The place is read-only.",
            var code => $"It can't be read or written (errno {code}).",
        },
    };
}
