namespace Berth.Init.Protocol;

/// <summary>
/// The messages between a node and the berth-init of one sandbox. Numbers below 64 go to the init, the others come
/// from it. docs/internals/init-protocol.md has the layout of each.
/// </summary>
public enum FrameType : byte
{
    /// <summary>First and once: protocol version and seccomp filter.</summary>
    Boot = 1,

    /// <summary>Once: the program to run.</summary>
    Start = 2,

    /// <summary>A signal for the program's main process.</summary>
    Signal = 3,

    /// <summary>SIGKILL to everything in the sandbox but the init.</summary>
    Kill = 4,

    /// <summary>A further program beside the main one, with its streams.</summary>
    Exec = 5,

    /// <summary>A signal for the main process of a further program.</summary>
    ExecSignal = 6,

    /// <summary>First and once, instead of Boot: make sandboxes instead of being one.</summary>
    Outer = 7,

    /// <summary>To an outer container: a place for one sandbox at a time, with the files by which a process joins its
    /// control groups.</summary>
    Cell = 8,

    /// <summary>To an outer container: make a sandbox in a cell, with its streams and its own connection.</summary>
    Spawn = 9,

    /// <summary>To a sandbox's init, instead of Start and any number of times: fork a lane, which runs one program
    /// after the other as ordered over the connection that comes with this.</summary>
    Lane = 10,

    /// <summary>Answer to Boot: locked down and waiting for Start. A lane's first word.</summary>
    Ready = 64,

    /// <summary>Answer to Start: execve succeeded.</summary>
    Started = 65,

    /// <summary>Answer to Start: the image or the order is to blame. Last frame, but of a lane.</summary>
    Refused = 66,

    /// <summary>Answer to Boot or Start: the machine is to blame. Last frame, but of a lane.</summary>
    Failed = 67,

    /// <summary>The program and all it started are gone. Last frame, but of a lane.</summary>
    Exited = 68,

    /// <summary>Answer to Exec: execve succeeded.</summary>
    ExecStarted = 69,

    /// <summary>Answer to Exec: it did not start, and why.</summary>
    ExecRefused = 70,

    /// <summary>A further program's main process ended.</summary>
    ExecExited = 71,
}
