namespace Berth.Core.Faults;

/// <summary>
/// Every moment at which the tests end the server, named for what has just happened there. Each is reached at one
/// place of the source. docs/internals/faults.md says how they are used.
/// </summary>
public enum CrashPoint
{
    // Start and stop.
    DataFolderTaken,
    ContentOpened,
    LeftoverLayersMoved,
    MigrationApplied,
    MigrationsCommitted,
    AdministratorTokenWritten,
    AdministratorTokenStored,
    LeftoversRemoved,
    NodeStarted,
    DelaysBounded,
    LeftResultsDeleted,
    RecoveredRunsStored,
    LeftSpoolDeleted,
    RunsStarted,
    Listening,
    StopBegun,
    RunsStopped,
    ListeningEnded,
    NodeStopped,

    // A task is accepted.
    InputReceived,
    InputKept,
    TaskStored,
    TaskAccepted,

    // Bodies in the spool.
    SpoolFileMade,
    SpoolFileSynced,
    SpoolFileNamed,
    SpoolFolderSynced,

    // The store's transactions.
    TransactionBegun,
    TransactionFilled,
    TransactionCommitted,
    TransactionAcknowledged,

    // An attempt.
    TasksClaimed,
    AttemptBegun,
    AttemptStarted,
    StartStored,
    AttemptReported,
    ResultKept,
    EndStored,
    RetryStored,
    AttemptOver,
    CallRecorded,
    CancelAsked,
    WaitingTaskCanceled,
    OldTaskExpired,

    // The sandbox.
    OwnerTaken,
    RootMounted,
    BundleWritten,
    ContainerCreated,
    ContainerBooted,
    OuterContainerBooted,
    CellGroupsMade,
    InnerSandboxBooted,
    ProgramStarted,
    ProgramEnded,
    InitKilled,
    RootDetached,
    CgroupRemoved,
    SandboxRemoved,
    LogSegmentBegun,

    // Containers that last, and their volumes.
    ContainerStored,
    ContainerStartStored,
    ContainerStartReported,
    ContainerStopStored,
    ContainerRunStored,
    ContainerEndStored,
    ContainerLayerRemoved,
    ContainerDeleted,
    VolumeMade,
    LayerFrozen,
    VolumeRemoved,

    // Dead letters and destinations.
    RedriveAccepted,
    RedriveClosed,
    LettersTrimmed,
    ForwardAccepted,
    ForwardClosed,

    // Callbacks.
    CallbackSent,
    CallbackClosed,
    CallbackDeferred,

    // Retention.
    BodiesDeleted,
    BodiesForgotten,
    RecordsDeleted,
    LogDeleted,

    // Small files: tokens, tags, links.
    FileWritten,
    FileReplaced,
    FolderSynced,
    TokenCreated,
    TokenRevoked,
    RevocationStored,

    // Uploads and blobs.
    UploadNamed,
    UploadOpened,
    UploadAppended,
    UploadBytesDeleted,
    UploadCommitted,
    BlobSynced,
    BlobNamed,
    BlobPublished,
    BlobLinked,
    BlobUnlinked,

    // Manifests and tags.
    ManifestBytesStored,
    ManifestObserved,
    ManifestBlobsLinked,
    ReferrerWritten,
    ManifestLinked,
    TagWritten,
    TagDeleted,
    ManifestTagsDeleted,
    ManifestDeleted,

    // Unpacked layers.
    LayerBegun,
    LayerUnpacked,
    LayerNamed,
    LayerSynced,
    LayerMarked,
    LayerMarkDeleted,
    LayerMovedAway,

    // Collection.
    ContentMarked,
    BlobMovedAway,
    BlobsSwept,
    LinkDeleted,
}
